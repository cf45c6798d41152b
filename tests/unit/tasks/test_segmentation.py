# SPDX-License-Identifier: Apache-2.0
"""Semantic segmentation as a task, and which task is taken where none is given."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError

CLASSES = 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, CLASSES, 1)).eval()


def images(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def labels(count: int = 6) -> Tensor:
    drawn = torch.Generator().manual_seed(4)
    found = torch.randint(0, CLASSES, (count, 8, 8), generator=drawn)
    found[:, 0] = 255
    return found


def mean_iou(decided: Tensor, truth: Tensor) -> float:
    """Written from the definition."""
    judged = truth != 255
    found = []
    for c in range(CLASSES):
        ours, theirs = (decided == c) & judged, (truth == c) & judged
        if (ours | theirs).any():
            found.append(float((ours & theirs).sum() / (ours | theirs).sum()))
    return sum(found) / len(found)


def test_mean_iou_after_every_step_is_that_of_the_definition() -> None:
    net = network()
    snn = sw.convert(net, "spikeconverter", T=4, calibration=images())
    task = sw.Segmentation(classes=CLASSES)
    data = [(images()[:4], labels()[:4]), (images()[4:], labels()[4:])]
    (found,) = sw.evaluate(snn, data, reference=net, task=task).lengths
    by_name = {each.name: each for each in found.series}
    from spikewright.simulators import simulator

    with torch.no_grad():
        runs = simulator(snn).over_time(snn.check_input(images()))
        steps = [F.interpolate(o[0], (8, 8), mode="bilinear").argmax(1) for o in runs]
        ann = F.interpolate(net(images()), (8, 8), mode="bilinear").argmax(1)
    for value, decided in zip(by_name["mean IoU"].values, steps, strict=True):
        assert value == pytest.approx(mean_iou(decided, labels()), abs=1e-6)
    assert by_name["mean IoU"].reference == pytest.approx(mean_iou(ann, labels()), abs=1e-6)
    fidelity = [mean_iou(decided, ann) for decided in steps]
    assert fidelity[0] < 0.99  # or any two maps would do
    assert by_name["fidelity mean IoU"].values == pytest.approx(fidelity, abs=1e-6)


def test_parts_add_up() -> None:
    net = network()
    snn = sw.convert(net, "spikeconverter", T=3, calibration=images())
    task = sw.Segmentation(classes=CLASSES)
    pairs = [(images()[i : i + 2], labels()[i : i + 2]) for i in (0, 2, 4)]
    whole = sw.evaluate(snn, pairs, reference=net, task=task)
    parts = [sw.evaluate(snn, [pair], reference=net, task=task) for pair in pairs]
    assert parts[2].merge(parts[0]).merge(parts[1]).lengths[0].series == whole.lengths[0].series


@pytest.mark.parametrize("given", [torch.zeros(6), torch.rand(6, 8, 8), "maps"])
def test_targets_that_are_no_maps_of_classes_are_refused(given: Any) -> None:
    snn = sw.convert(network(), "spikeconverter", T=2, calibration=images())
    with pytest.raises(ConfigError, match="expected class numbers of pixels"):
        sw.evaluate(snn, [(images(), given)], task=sw.Segmentation(classes=CLASSES))


def test_a_task_that_does_not_fit_the_outputs_is_refused() -> None:
    snn = sw.convert(network(), "spikeconverter", T=2, calibration=images())
    with pytest.raises(ConfigError, match=r"expected class scores .* for classification"):
        sw.evaluate(snn, images(), task="classification")
    with pytest.raises(ConfigError, match=r"expected scores \(batch, 5, height, width\)"):
        sw.evaluate(snn, images(), task=sw.Segmentation(classes=5))
    with pytest.raises(ConfigError, match="expected one with settings"):
        sw.evaluate(snn, images(), task="detection")
    with pytest.raises(ConfigError, match="expected a task or 'classification'"):
        sw.evaluate(snn, images(), task="guessing")


def test_class_scores_may_be_taken_as_outputs_whose_labels_are_not_read() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = torch.rand(10, 4)
    snn = sw.convert(net, "spikeconverter", T=8, calibration=x)
    data = [(x, torch.rand(10, 3))]
    with pytest.raises(ConfigError, match=r"task=.outputs. reads no labels"):
        sw.evaluate(snn, data, reference=net)
    (found,) = sw.evaluate(snn, data, reference=net, task="outputs").lengths
    assert (found.task, found.has_scores, found.unused_labels) == ("outputs", False, 10)
    assert 0 < (found.error() or 0.0) < 0.1
    assert found.spikes > 0
