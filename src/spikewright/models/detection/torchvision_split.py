# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors, cut where tensors end and the choice of boxes begins.

A detector is a network (the body) and a procedure around it: images are normalised, resized and
padded before; anchors, the choice of boxes and their suppression come behind. Only the body can be
converted. What comes behind is the detector's own code, run on the body's outputs.
"""

import copy
import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spikewright._vision import detector_family, torchvision
from spikewright.detection import Detections, suppress
from spikewright.errors import ConfigError, ShapeError, UnsupportedModuleError

__all__ = ["Postprocess", "split"]

Size = tuple[int, int]
"""Height and width in pixels."""

_WITH_REGIONS = "GeneralizedRCNN"


def split(detector: nn.Module) -> tuple[nn.Module, "Postprocess"]:
    """Cut one of torchvision's detectors into a body that can be converted and what follows it.

    Of RetinaNet, FCOS and SSD the body is the whole network: backbone, feature pyramid and heads.
    Of Faster R-CNN it ends with the heads of the region proposals; the heads that look at each
    region once more stay in floating point, in the post-processing.

    Args:
        detector: RetinaNet, FCOS, SSD or Faster R-CNN in evaluation mode; both parts share its
            weights, and it is not changed.

    Returns:
        The body, which takes normalised images "batch 3 height width"
        (:meth:`Postprocess.preprocess` makes them) and returns raw outputs, and the
        post-processing of these.

    Raises:
        UnsupportedModuleError: If it is another model, or one with masks or keypoints.

    Example::

        body, postprocess = split(detector)
        x, sizes = postprocess.preprocess(images)
        snn = spikewright.convert(body, T=8, calibration=x)
        postprocess(snn(x), sizes)[0].boxes
    """
    family, title = detector_family(detector), type(detector).__name__
    if family is None:
        raise UnsupportedModuleError(
            f"split: expected one of torchvision's detectors (RetinaNet, FCOS, SSD, Faster R-CNN), "
            f"got {title}. Cut other detectors where their raw maps are."
        )
    own: Any = detector
    if family != _WITH_REGIONS:
        return _Body(own.backbone, own.head), Postprocess(own)
    heads = own.roi_heads
    if heads.has_mask() or heads.has_keypoint():
        raise UnsupportedModuleError(
            f"split: expected a detector of boxes, got {title}, which finds masks or keypoints as "
            "well. Take a Faster R-CNN."
        )
    return _ProposalBody(own.backbone, own.rpn.head), Postprocess(own)


@functools.cache
def _stand_in() -> None:
    """Let torchvision choose boxes and read regions where its compiled operators are missing."""
    vision = torchvision()
    if vision.extension._has_ops():
        return
    vision.ops.boxes.nms = _nms
    regions = sys.modules["torchvision.ops.roi_align"]
    plain = getattr(regions._roi_align, "__wrapped__", regions._roi_align)  # without a compiler
    regions._roi_align = plain  # type: ignore[attr-defined]


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    labels = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    return suppress(boxes, scores, labels, iou=iou_threshold, most=len(boxes))


class _Body(nn.Module):
    """Backbone and heads: images "batch 3 height width" to what the head returns."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.head(list(_named(self.backbone(x)).values()))
        return found


class _ProposalBody(nn.Module):
    """Backbone and the heads of the region proposals, which the regions' features join."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, x: Tensor) -> dict[str, Any]:
        features = _named(self.backbone(x))
        objectness, deltas = self.head(list(features.values()))
        return {"features": features, "objectness": objectness, "bbox_deltas": deltas}


def _named(features: Any) -> dict[str, Tensor]:  # noqa: ANN401 - one map or several by name
    return {"0": features} if isinstance(features, Tensor) else dict(features)


@dataclass(frozen=True, eq=False)
class Postprocess:
    """What a detector does with its network's outputs: its own anchors, choice and suppression.

    Where torchvision's compiled part does not fit the installed torch, our own suppression and
    torchvision's own reading of regions in Python stand in for its ``nms`` and ``roi_align``.

    Attributes:
        detector: The whole detector, a module of torchvision.
    """

    detector: Any

    def preprocess(
        self, images: Sequence[Float[Tensor, "3 _ _"]]
    ) -> tuple[Float[Tensor, "batch 3 height width"], list[Size]]:
        """Make the body's input as the detector does: normalise, resize, pad to a common size.

        Args:
            images: RGB in 0..1, of any sizes.

        Returns:
            The body's input, and each image's height and width within it, without padding.

        Raises:
            ConfigError: If the detector is in training mode, in which sizes are random.
        """
        self._check_mode()
        found, _ = self.detector.transform(list(images))
        return found.tensors, [(int(h), int(w)) for h, w in found.image_sizes]

    def __call__(
        self,
        outputs: Mapping[str, Any],
        image_sizes: Sequence[Size],
        original_sizes: Sequence[Size] | None = None,
    ) -> list[Detections]:
        """Choose the boxes.

        Args:
            outputs: What the body, or its conversion, returned.
            image_sizes: Of each image within the body's input, as :meth:`preprocess` returned.
            original_sizes: Of the images before they were resized, if boxes are wanted there.

        Returns:
            Each image's detections, best first, in pixels of the original image, or else of the
            body's input. Classes keep torchvision's numbers (of COCO 1 is a person).

        Raises:
            ConfigError: If the detector is in training mode.
            ShapeError: If the outputs are not those of this body for such images.
        """
        self._check_mode()
        like = next(_tensors(outputs), None)
        if like is None or len(image_sizes) != len(like):
            raise ShapeError(
                f"postprocess: expected outputs for {len(image_sizes)} image(s), got "
                f"{'none' if like is None else len(like)}. Give the size of every image."
            )
        own = self._with_given(outputs, list(image_sizes), like)
        blank = like.new_zeros(1)
        images = [blank.expand(3, *size) for size in original_sizes or image_sizes]
        _stand_in()
        with torch.no_grad():
            found = own(images)
        return [Detections(x["boxes"], x["scores"], x["labels"]) for x in found]

    def _check_mode(self) -> None:
        if self.detector.training:
            raise ConfigError(
                f"{type(self.detector).__name__}: expected a detector in evaluation mode, got one "
                "in training mode. Call detector.eval()."
            )

    def _with_given(
        self, outputs: Mapping[str, Any], image_sizes: list[Size], like: Tensor
    ) -> nn.Module:
        """Return the detector with a network that returns these outputs, whatever it is given."""
        height, width = self._input_size(image_sizes)
        x = like.new_zeros(1).expand(len(image_sizes), 3, height, width)
        transform: Any = _Given((SimpleNamespace(tensors=x, image_sizes=image_sizes), None))
        transform.postprocess = self.detector.transform.postprocess
        features = self._feature_sizes(height, width)
        if detector_family(self.detector) == _WITH_REGIONS:
            self._check(outputs, {"features", "objectness", "bbox_deltas"})
            given = dict(outputs["features"])
            self._check(given, set(features))
            for name, size in features.items():
                self._check_size(name, tuple(given[name].shape[-2:]), size)
            heads = (list(outputs["objectness"]), list(outputs["bbox_deltas"]))
            rpn = _with_parts(self.detector.rpn, head=_Given(heads))
            return _with_parts(self.detector, transform=transform, backbone=_Given(given), rpn=rpn)
        self._check(outputs, {"cls_logits", "bbox_regression"})
        maps = {n: like.new_zeros(1).expand(len(x), 1, *size) for n, size in features.items()}
        images = SimpleNamespace(tensors=x, image_sizes=image_sizes)
        anchors = len(self.detector.anchor_generator(images, list(maps.values()))[0])
        self._check_size("anchors", outputs["cls_logits"].shape[1], anchors)
        return _with_parts(
            self.detector,
            transform=transform,
            backbone=_Given(maps),
            head=_Given(dict(outputs)),
        )

    def _input_size(self, image_sizes: list[Size]) -> Size:
        """Return the size of the body's input: that of the largest image, padded."""
        multiple = int(self.detector.transform.size_divisible)
        height, width = (
            -(-max(side) // multiple) * multiple for side in zip(*image_sizes, strict=True)
        )
        return height, width

    def _feature_sizes(self, height: int, width: int) -> dict[str, Size]:
        """Return the sizes of the maps that the backbone makes, without computing them."""
        backbone = self.detector.backbone
        tensors = (*backbone.named_parameters(), *backbone.named_buffers())
        shapes = {name: tensor.detach().to("meta") for name, tensor in tensors}
        x = torch.empty(1, 3, height, width, device="meta")
        with torch.no_grad():
            found = torch.func.functional_call(backbone, shapes, (x,))
        return {n: (int(t.shape[-2]), int(t.shape[-1])) for n, t in _named(found).items()}

    @staticmethod
    def _check(outputs: Mapping[str, Any], names: set[str]) -> None:
        if not isinstance(outputs, Mapping) or not names <= set(outputs):
            got = ", ".join(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
            raise ShapeError(
                f"postprocess: expected {', '.join(sorted(names))}, got {got or 'nothing'}. "
                "Give what the body returned, as it is."
            )

    @staticmethod
    def _check_size(name: str, got: object, wanted: object) -> None:
        if got != wanted:
            raise ShapeError(
                f"postprocess: expected {name} of {wanted} for images of these sizes, got {got}. "
                "Give the sizes that preprocess returned along with the body's input."
            )


class _Given(nn.Module):
    """Returns the same whatever it is given."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - whatever it stands for returns
        super().__init__()
        self.value = value

    def forward(self, *_: object) -> Any:  # noqa: ANN401 - see above
        return self.value


def _with_parts(module: nn.Module, **parts: nn.Module) -> nn.Module:
    """Return a module that differs in some parts and shares everything else."""
    changed = copy.copy(module)
    changed.__dict__["_modules"] = {**module._modules, **parts}
    return changed


def _tensors(outputs: Any) -> Iterator[Tensor]:  # noqa: ANN401 - nested outputs
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, Mapping | list | tuple):
        for part in outputs.values() if isinstance(outputs, Mapping) else outputs:
            yield from _tensors(part)
