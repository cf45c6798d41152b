# SPDX-License-Identifier: Apache-2.0
"""RetinaNet and FCOS as torchvision builds them: the scores and boxes of all levels in two rows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from spikewright.detection.boxes import Detections
from spikewright.detection.decoders.base import KEPT, flat
from spikewright.detection.nms import Suppression
from spikewright.errors import ConfigError, ShapeError

__all__ = ["FCOS", "RETINANET", "DenseDetector", "DenseLevel"]

_LARGEST_EXPONENT = math.log(1000 / 16)
_KEYS = ("cls_logits", "bbox_regression", "bbox_ctrness")


@dataclass(frozen=True)
class DenseLevel:
    """One map's resolution and boxes.

    Attributes:
        stride: Input pixels for a cell.
        sizes: Side of each square box, in input pixels; every ratio makes one of equal area of it.
        ratios: Height over width.
    """

    stride: int
    sizes: tuple[float, ...]
    ratios: tuple[float, ...] = (1.0,)

    def anchors(self, input_size: tuple[int, int]) -> Float[Tensor, "anchor 4"]:
        """Return the boxes of all cells, row after row, as torchvision's ``AnchorGenerator``.

        Sides are rounded to whole pixels, and cells are ⌊input / cells⌋ pixels apart.
        """
        rows, columns = (-(-side // self.stride) for side in input_size)
        root = torch.tensor(self.ratios).sqrt()
        sizes = torch.tensor(self.sizes, dtype=root.dtype)
        width, height = ((1 / root)[:, None] * sizes).flatten(), (root[:, None] * sizes).flatten()
        cell = (torch.stack((-width, -height, width, height), 1) / 2).round()
        y = torch.arange(rows) * (input_size[0] // rows)
        x = torch.arange(columns) * (input_size[1] // columns)
        y, x = (axis.flatten() for axis in torch.meshgrid(y, x, indexing="ij"))
        return (torch.stack((x, y, x, y), 1)[:, None] + cell).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class DenseDetector:
    """Boxes of torchvision's RetinaNet and FCOS, from what their heads return.

    Outputs are class logits "batch anchor class", corrections "batch anchor 4" and, for FCOS,
    centredness "batch anchor 1", in this order or by torchvision's names, with the anchors of all
    levels one behind the other. With t a correction and w, h an anchor's size:

        "size": centre = anchor's centre + t_xy · (w, h),  size = (w, h) · e^t_wh
        "sides": left, top = centre − t · (w, h),  right, bottom = centre + t · (w, h)
        score = σ(class), or √(σ(class) · σ(centredness))

    Classes keep torchvision's numbers (in its COCO networks 1 is a person and 0 is not used).

    Attributes:
        levels: From the finest map on.
        coder: What corrections mean: "size" (RetinaNet) or "sides" (FCOS).
        candidates: So many of the best of each level are considered.
        suppression: What is kept.

    References:
        Lin et al., Focal Loss, 2017, https://arxiv.org/abs/1708.02002. Tian et al., FCOS, 2019,
        https://arxiv.org/abs/1904.01355. torchvision.models.detection, ``postprocess_detections``.

    Raises:
        ConfigError: If there are no levels or no candidates.
    """

    levels: tuple[DenseLevel, ...]
    coder: Literal["size", "sides"]
    candidates: int = 1000
    suppression: Suppression = KEPT

    def __post_init__(self) -> None:
        if not self.levels or self.candidates < 1:
            raise ConfigError(
                f"dense decoder: expected levels and candidates of each, got {len(self.levels)} "
                f"levels and candidates={self.candidates}. Give at least one."
            )

    def __call__(self, outputs: Any, input_size: tuple[int, int]) -> list[Detections]:  # noqa: ANN401 - nested as the network returns it
        """See :class:`Decoder`."""
        anchors = [level.anchors(input_size) for level in self.levels]
        logits, corrections, *centredness = self._rows(outputs, sum(map(len, anchors)))
        scores = logits.sigmoid()
        if centredness:
            scores = (scores * centredness[0].sigmoid()).sqrt()
        given = [x.to(corrections) for x in anchors]
        return [
            self._image(s, c, given, input_size) for s, c in zip(scores, corrections, strict=True)
        ]

    def _rows(self, outputs: Any, anchors: int) -> list[Tensor]:  # noqa: ANN401 - nested as the network returns it
        if isinstance(outputs, Mapping) and outputs.keys() >= set(_KEYS[:2]):
            outputs = [outputs[key] for key in _KEYS if key in outputs]
        rows, wanted = flat(outputs), 2 if self.coder == "size" else 3
        fits = len(rows) == wanted and all(x.ndim == 3 and x.shape[1] == anchors for x in rows)
        if not fits or [x.shape[2] for x in rows[1:]] != [4, 1][: wanted - 1]:
            names = ", ".join(_KEYS[:wanted])
            raise ShapeError(
                f"dense decoder: expected {names} of {anchors} anchors, (batch, anchors, values), "
                f"got shapes {', '.join(str(tuple(x.shape)) for x in rows)}. Give the head's "
                "outputs, the levels' anchors, and the height and width that the network was given."
            )
        return rows

    def _image(
        self,
        scores: Float[Tensor, "anchor class"],
        corrections: Float[Tensor, "anchor 4"],
        anchors: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> Detections:
        """Return an image's detections, from the best candidates of each level."""
        counts = [len(x) for x in anchors]
        levels = zip(
            torch.split(scores, counts), torch.split(corrections, counts), anchors, strict=True
        )
        boxes, best, labels = [], [], []
        for score, correction, anchor in levels:
            point, label = (score > self.suppression.least).nonzero(as_tuple=True)
            values, order = score[point, label].sort(descending=True, stable=True)
            order = order[: self.candidates]
            boxes.append(self._boxes(correction[point[order]], anchor[point[order]]))
            best.append(values[: self.candidates])
            labels.append(label[order])
        height, width = input_size
        inside = torch.cat(boxes).clamp(min=0)
        inside = inside.minimum(inside.new_tensor((width, height, width, height)))
        return self.suppression(inside, torch.cat(best), torch.cat(labels))

    def _boxes(
        self, correction: Float[Tensor, "box 4"], anchor: Float[Tensor, "box 4"]
    ) -> Float[Tensor, "box 4"]:
        """Return the corrected anchors."""
        size = anchor[:, 2:] - anchor[:, :2]
        if self.coder == "sides":
            centre = 0.5 * (anchor[:, :2] + anchor[:, 2:])
            return torch.cat(
                (centre - correction[:, :2] * size, centre + correction[:, 2:] * size), 1
            )
        centre = anchor[:, :2] + 0.5 * size + correction[:, :2] * size
        half = 0.5 * correction[:, 2:].clamp(max=_LARGEST_EXPONENT).exp() * size
        return torch.cat((centre - half, centre + half), 1)


_STRIDES = (8, 16, 32, 64, 128)

RETINANET = DenseDetector(
    levels=tuple(
        DenseLevel(s, tuple(int(4 * s * 2 ** (i / 3)) for i in range(3)), (0.5, 1.0, 2.0))
        for s in _STRIDES
    ),
    coder="size",
    suppression=Suppression(iou=0.5, least=0.05, most=300),
)
"""torchvision's ``retinanet_resnet50_fpn`` and its version 2."""

FCOS = DenseDetector(
    levels=tuple(DenseLevel(s, (s,)) for s in _STRIDES),
    coder="sides",
    suppression=Suppression(iou=0.6, least=0.2, most=100),
)
"""torchvision's ``fcos_resnet50_fpn``."""
