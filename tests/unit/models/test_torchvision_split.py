# SPDX-License-Identifier: Apache-2.0
"""torchvision's detectors in two parts answer as they do in one."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright._vision import torchvision
from spikewright.detection import Detections
from spikewright.errors import ConfigError, ShapeError, UnsupportedModuleError
from spikewright.models.detection import split
from spikewright.models.detection.torchvision_split import _nms, _stand_in


@pytest.fixture(autouse=True)
def plain_nms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision suppress boxes and read regions where its compiled operators are missing.

    The whole detectors are run with this loop, so that what stands in for ``nms`` in the product is
    held against it, too.
    """
    _stand_in()  # before the loop takes its place, once and for all
    monkeypatch.setattr(torchvision().ops.boxes, "nms", nms)
    regions = sys.modules["torchvision.ops.roi_align"]
    plain = getattr(regions._roi_align, "__wrapped__", regions._roi_align)  # not compiled
    monkeypatch.setattr(regions, "_roi_align", plain)


def nms(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Greedy suppression, one box after the other."""
    order, kept = scores.argsort(descending=True, stable=True), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = torch.maximum(boxes[best, :2], boxes[rest, :2])
        high = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        order = rest[shared / (area[best] + area[rest] - shared) <= iou]
    return torch.tensor(kept, dtype=torch.int64)


def build(name: str, **options: Any) -> nn.Module:
    """A detector with random weights that finds something."""
    torch.manual_seed(0)
    detection = torchvision().models.detection
    sizes = {} if name.startswith("ssd") else {"min_size": 128, "max_size": 160}
    options = {"weights": None, "weights_backbone": None, "num_classes": 5, **sizes, **options}
    model: nn.Module = getattr(detection, name)(**options).eval()
    return model


def pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.rand(3, *size, generator=generator) for size in sizes]


DETECTORS = {
    "retinanet_resnet50_fpn": {"score_thresh": 0.0095, "topk_candidates": 30},
    "fcos_resnet50_fpn": {"score_thresh": 0.06, "topk_candidates": 30},
    "ssd300_vgg16": {"score_thresh": 0.15, "topk_candidates": 30},
    "fasterrcnn_resnet50_fpn": {"box_score_thresh": 0.01, "rpn_post_nms_top_n_test": 40},
}


def assert_same(found: list[Detections], wanted: list[dict[str, Tensor]]) -> None:
    assert len(found) == len(wanted)
    for own, other in zip(found, wanted, strict=True):
        assert len(own) > 0
        torch.testing.assert_close(own.boxes, other["boxes"])
        torch.testing.assert_close(own.scores, other["scores"])
        assert torch.equal(own.labels, other["labels"])
        assert bool((own.scores.diff() <= 0).all())


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_both_parts_together_answer_as_the_detector(name: str) -> None:
    detector = build(name, **DETECTORS[name])
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    body, postprocess = split(detector)
    images = pictures((128, 128), (100, 150))
    with torch.no_grad():
        wanted = detector([image.clone() for image in images])
        x, sizes = postprocess.preprocess(images)
        found = postprocess(body(x), sizes, [tuple(image.shape[1:]) for image in images])
        assert_same(found, wanted)
        inside = postprocess(body(x), sizes)
    for own, other, size, image in zip(inside, found, sizes, images, strict=True):
        ratio = torch.tensor([image.shape[2] / size[1], image.shape[1] / size[0]]).repeat(2)
        torch.testing.assert_close(own.boxes * ratio, other.boxes)
    after = detector.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """A RetinaNet of one small map, whose parts can be tried quickly."""
    detection = torchvision().models.detection
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, 16, 1), nn.ReLU())
    backbone.out_channels = 8  # type: ignore[assignment]
    anchors = detection.anchor_utils.AnchorGenerator(((32,),), ((1.0,),))
    detector: nn.Module = detection.retinanet.RetinaNet(
        backbone, 4, anchor_generator=anchors, score_thresh=0.005, min_size=64, max_size=64
    )
    return detector.eval()


def test_a_detector_of_ones_own_backbone_is_split(small: nn.Module) -> None:
    body, postprocess = split(small)
    images = pictures((64, 64), (64, 40))
    x, sizes = postprocess.preprocess(images)
    assert (tuple(x.shape), sizes) == ((2, 3, 64, 64), [(64, 64), (64, 40)])
    with torch.no_grad():
        assert_same(postprocess(body(x), sizes), small(images))


def test_its_body_converts_and_its_boxes_come_close(small: nn.Module) -> None:
    body, postprocess = split(small)
    x, sizes = postprocess.preprocess(pictures((64, 64), (64, 64)))
    snn = sw.convert(body, T=16, calibration=x)
    with torch.no_grad():
        wanted = postprocess(body(x), sizes)
    for own, other in zip(postprocess(snn(x), sizes), wanted, strict=True):
        assert len(own) == len(other) > 0
        torch.testing.assert_close(own.scores, other.scores, rtol=0.02, atol=0)


def test_what_does_not_belong_together_is_refused(small: nn.Module) -> None:
    body, postprocess = split(small)
    x, sizes = postprocess.preprocess(pictures((64, 64)))
    with torch.no_grad():
        outputs = body(x)
    with pytest.raises(ShapeError, match=r"expected outputs for 2 image\(s\), got 1"):
        postprocess(outputs, sizes * 2)
    with pytest.raises(ShapeError, match=r"expected anchors of 32 .* got 16"):
        postprocess(outputs, [(64, 128)])
    with pytest.raises(ShapeError, match="expected bbox_regression, cls_logits, got cls_logits"):
        postprocess({"cls_logits": outputs["cls_logits"]}, sizes)
    with pytest.raises(ShapeError, match=r"expected outputs .* got none"):
        postprocess({}, sizes)


def test_a_detector_in_training_mode_is_refused(small: nn.Module) -> None:
    body, postprocess = split(small)
    images = pictures((64, 64))
    x, sizes = postprocess.preprocess(images)
    small.train()
    try:
        with pytest.raises(ConfigError, match=r"RetinaNet: .* Call detector\.eval"):
            postprocess(body(x), sizes)
        with pytest.raises(ConfigError, match="evaluation mode"):
            postprocess.preprocess(images)
    finally:
        small.eval()


def test_other_models_and_masks_are_refused() -> None:
    with pytest.raises(UnsupportedModuleError, match="got Linear"):
        split(nn.Linear(2, 2))
    with pytest.raises(UnsupportedModuleError, match="got MaskRCNN, which finds masks"):
        split(build("maskrcnn_resnet50_fpn"))


def test_a_whole_detector_is_told_to_be_split(
    small: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = small

        def forward(self, x: Tensor) -> Tensor:
            boxes: Tensor = self.inner([x[0], x[1]])[0]["boxes"]
            return boxes

    x = torch.rand(2, 3, 64, 64)
    with pytest.raises(UnsupportedModuleError, match=r"^RetinaNet: .*detection\.split\(detector\)"):
        sw.inspect(small, x)
    with pytest.raises(UnsupportedModuleError, match=r"^Wrapped\.inner: .*detector \(RetinaNet\)"):
        sw.inspect(Wrapped(), x)
    assert capfd.readouterr() == ("", "")


def test_what_stands_in_for_a_missing_suppression_keeps_the_same_boxes() -> None:
    drawn = torch.Generator().manual_seed(5)
    boxes = torch.rand(300, 4, generator=drawn) * 40
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.rand(300, generator=drawn)
    assert torch.equal(_nms(boxes, scores, 0.4), nms(boxes, scores, 0.4))
