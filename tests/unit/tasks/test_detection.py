# SPDX-License-Identifier: Apache-2.0
"""Detection as a task: figures after every step, fidelity, parts that merge, what is refused."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.data import Preprocess
from spikewright.detection import AnchorFreeYolo, Annotations, Detections, Placement
from spikewright.errors import ConfigError, FileFormatError
from spikewright.evaluation import Result
from spikewright.evaluation.length import LengthResult

pytest.importorskip("faster_coco_eval")

CLASSES = ("round", "square")
SIDE, STRIDE = 16, 8


class Tiny(nn.Module):
    """Raw maps of a one-level detector, two outputs nested in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, STRIDE, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU()
        )
        self.objectness = nn.Conv2d(8, 1, 1)
        self.classes = nn.Conv2d(8, len(CLASSES), 1)
        self.boxes = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.body(x)
        return self.objectness(x), self.classes(x), self.boxes(x)


def images(count: int = 9) -> Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def annotations(count: int = 9) -> list[Annotations]:
    drawn = torch.Generator().manual_seed(2)
    found = []
    for i in range(count):
        boxes = torch.rand(i % 3, 4, generator=drawn) * 8
        boxes[:, 2:] += boxes[:, :2] + 4
        labels = torch.randint(0, 2, (i % 3,), generator=drawn)
        found.append(Annotations(boxes * 2, labels, (32, 32), Placement((0.5, 0.5)), name=f"{i}"))
    return found


def model() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


def task(**settings: Any) -> sw.Detection:
    decode = AnchorFreeYolo(stride=STRIDE)
    return sw.Detection(decode=decode, classes=CLASSES, **{"resamples": 20, **settings})


def batches(size: int = 4) -> list[tuple[Tensor, list[Annotations]]]:
    x, targets = images(), annotations()
    return [(x[i : i + size], targets[i : i + size]) for i in range(0, len(x), size)]


def measured(size: int = 4, **options: Any) -> tuple[Tiny, sw.SpikingNetwork, LengthResult]:
    net = model()
    snn = sw.convert(net, "spikeconverter", T=8, calibration=images())
    (found,) = sw.evaluate(snn, batches(size), reference=net, task=task(), **options).lengths
    return net, snn, found


def test_figures_have_names_and_one_value_for_each_step() -> None:
    _, snn, found = measured()
    assert [each.name for each in found.series] == [
        "AP",
        "AP50",
        "AP75",
        "fidelity AP50",
        "fidelity AP",
    ]
    assert all(len(each.values) == snn.steps for each in found.series)
    assert (found.task, found.has_scores, found.errors) == ("detection", False, ())
    assert found.spikes > 0


def test_boxes_are_those_of_the_outputs_taken_back_into_the_image() -> None:
    """By hand, after every step: decoded, doubled (the input is half the image), scored."""
    from spikewright.detection import CocoTruth
    from spikewright.simulators import simulator

    _, snn, found = measured()
    steps = [[] for _ in range(snn.steps)]  # type: list[list[Detections]]
    with torch.no_grad():
        for step, outputs in enumerate(simulator(snn).over_time(snn.check_input(images()))):
            for each in task().decode(outputs, (SIDE, SIDE)):
                steps[step].append(Detections(each.boxes * 2, each.scores, each.labels))
    truth = CocoTruth(annotations(), CLASSES)
    by_name = {each.name: each for each in found.series}
    for step, boxes in enumerate(steps):
        assert by_name["AP50"].values[step] == pytest.approx(truth.score(boxes).ap50)
        assert by_name["AP"].values[step] == pytest.approx(truth.score(boxes).ap)


def test_a_network_is_right_by_its_own_boxes_in_the_stored_image() -> None:
    """The truth is what the ANN finds, twice as large as in its input: nothing is wrong with it."""
    net = model()
    with torch.no_grad():
        own = task().decode(net(images()), (SIDE, SIDE))
    truth = [
        Annotations(each.boxes * 2, each.labels, (32, 32), Placement((0.5, 0.5))) for each in own
    ]
    assert sum(map(len, truth)) > 9
    snn = sw.convert(net, "spikeconverter", T=4, calibration=images())
    (found,) = sw.evaluate(snn, [(images(), truth)], reference=net, task=task()).lengths
    by_name = {each.name: each for each in found.series}
    assert by_name["AP"].reference == pytest.approx(1.0)
    assert (by_name["AP50"].at() or 0.0) > 0.5


def test_the_reference_is_the_models_own_and_faithful_to_itself() -> None:
    net = model()
    snn = sw.convert(net, "spikeconverter", T=20, calibration=images().double().float())
    result = sw.evaluate(snn, batches(), reference=net, task=task(least=0.0))
    by_name = {each.name: each for each in result.lengths[0].series}
    assert by_name["fidelity AP50"].at() == pytest.approx(1.0, abs=0.02)
    assert by_name["AP50"].at() == pytest.approx(by_name["AP50"].reference, abs=0.02)
    low, high = by_name["AP50"].interval or (1.0, -1.0)
    assert low <= (by_name["AP50"].difference or 0.0) <= high


def test_parts_merge_into_the_whole_and_files_keep_the_figures() -> None:
    net, snn, whole = measured(9)
    parts = [sw.evaluate(snn, [b], reference=net, task=task()) for b in batches(3)]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert merged.lengths[0].series == whole.series
    again = Result.from_json(merged.to_json())
    assert again.lengths[0].series == whole.series
    with pytest.raises(ConfigError, match="holds figures but not what they are made of"):
        again.merge(parts[0])


def test_images_without_annotations_have_fidelity_only() -> None:
    net = model()
    snn = sw.convert(net, "spikeconverter", T=4, calibration=images())
    (found,) = sw.evaluate(snn, images(), reference=net, task=task(least=0.1)).lengths
    assert [each.name for each in found.series] == ["fidelity AP50", "fidelity AP"]
    (alone,) = sw.evaluate(snn, batches(), task=task()).lengths
    assert [each.name for each in alone.series] == ["AP", "AP50", "AP75"]
    assert alone.series[0].reference is None


def test_of_long_runs_powers_of_two_and_the_end_are_decoded() -> None:
    net = model()
    snn = sw.convert(net, "rueckauer", T=100, calibration=images())
    (found,) = sw.evaluate(snn, batches(9), reference=net, task=task()).lengths
    scored = [t for t, value in enumerate(found.series[0].values, 1) if value is not None]
    assert scored == [1, 2, 4, 8, 16, 32, 64, 100]


def test_the_report_knows_the_order_of_channels_from_the_data() -> None:
    places = [
        Annotations(a.boxes, a.labels, a.size, Placement((0.5, 0.5), blue_first=True))
        for a in annotations()
    ]
    net = model()
    snn = sw.convert(net, "spikeconverter", T=4, calibration=images())
    for given, turned in ((places, True), (annotations(), False)):
        found = sw.evaluate(snn, [(images(), given)], reference=net, task=task(), examples=1)
        assert found.examples[0].scene is not None
        assert found.examples[0].scene.blue_first == turned
    placed = Preprocess(channels="BGR").placement(8, 8), Preprocess().placement(8, 8)
    assert [place.blue_first for place in placed] == [True, False]


def test_table_verdict_and_report_say_the_figures(tmp_path: Any) -> None:
    net = model()
    snn = sw.convert(net, "spikeconverter", T=4, calibration=images())
    result = sw.evaluate(snn, batches(), reference=net, task=task())
    table = result.table()
    for words in ("fidelity AP50", "ANN: AP", "points (95 %", "own decisions as truth"):
        assert words in " ".join(table.split())
    for name in ("page.html", "page.md", "page.csv"):
        sw.write_report(result, tmp_path / name)
        assert "fidelity AP50" in (tmp_path / name).read_text()


def test_compare_takes_the_task_and_keeps_cells(tmp_path: Any) -> None:
    net = model()
    options: dict[str, Any] = {
        "calibration": images(),
        "data": batches(),
        "T": [2, 4],
        "task": task(),
        "store": tmp_path,
    }
    found = sw.compare(net, ["spikeconverter", "burst"], **options)
    assert "fidelity AP50" in found.table(200)
    again = sw.compare(net, ["spikeconverter", "burst"], **options)
    assert again.rows() == found.rows()
    found.to_csv(tmp_path / "rows.csv")
    assert "fidelity AP50" in (tmp_path / "rows.csv").read_text().splitlines()[0]
    assert found.figures(tmp_path / "figures")


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (torch.zeros(4), "got Tensor"),
        (annotations(3), "got 3 of Annotations"),
        ([1, 2, 3, 4], "got 4 of int"),
    ],
)
def test_targets_that_are_no_annotations_are_refused(given: Any, got: str) -> None:
    net = model()
    snn = sw.convert(net, "spikeconverter", T=2, calibration=images())
    with pytest.raises(ConfigError, match=f"expected Annotations beside the images.*{got}"):
        sw.evaluate(snn, [(images(4), given)], task=task())


@pytest.mark.parametrize("settings", [{"least": 2.0}, {"resamples": -1}, {"classes": ()}])
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="detection"):
        sw.Detection(**{"decode": AnchorFreeYolo(stride=8), "classes": CLASSES, **settings})


def test_damaged_series_are_refused() -> None:
    _, _, found = measured()
    for change in ({"name": 3}, {"values": [0.5]}, {"reference": "x"}, {"interval": [1.0]}):
        data = found.to_dict()
        data["series"][0] = {**data["series"][0], **change}
        with pytest.raises(FileFormatError, match="a series"):
            LengthResult.from_dict(data)
