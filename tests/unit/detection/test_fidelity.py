# SPDX-License-Identifier: Apache-2.0
"""One network's boxes as another's truth."""

import pytest

from spikewright.detection import Annotations, CocoTruth, Detections, Placement, as_annotations
from spikewright.errors import ConfigError, ShapeError
from tests.unit.detection.scenes import CLASSES, found, scene, truth


def test_a_network_agrees_with_itself_and_less_with_others() -> None:
    annotations, detections = scene(1, ties=False)
    own = CocoTruth(as_annotations(detections, annotations), CLASSES)
    assert own.score(detections).ap == pytest.approx(1.0)
    moved = [Detections(x.boxes + 5, x.scores, x.labels) for x in detections]
    less = own.score(moved).ap
    assert less is not None
    assert 0 < less < 0.9


def test_boxes_count_from_the_score_on_and_images_keep_what_is_known_of_them() -> None:
    seen = found((0, 0, 9, 9, 0.9), (0, 0, 5, 5, 0.5), (0, 0, 3, 3, 0.2), labels=[2, 1, 0])
    place = Placement((0.5, 0.5), (0.0, 8.0))
    image = Annotations(truth((0, 0, 1, 1)).boxes, truth((0, 0, 1, 1)).labels, (48, 64), place, "a")
    (kept,) = as_annotations([seen], [image], least=0.5)
    assert kept.boxes.tolist() == [[0, 0, 9, 9], [0, 0, 5, 5]]
    assert kept.labels.tolist() == [2, 1]
    assert (kept.size, kept.placement, kept.name) == ((48, 64), place, "a")
    assert as_annotations([seen], [(3, 4)], least=0.95)[0].boxes.shape == (0, 4)


def test_misuse() -> None:
    with pytest.raises(ConfigError, match=r"expected least in 0\.\.1, got 30"):
        as_annotations([], [], least=30)
    with pytest.raises(ShapeError, match="expected detections in 1 images, got 0"):
        as_annotations([], [(3, 4)])
