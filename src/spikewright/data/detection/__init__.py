# SPDX-License-Identifier: Apache-2.0
"""Pictures with boxes, one format a file, all as (float32 tensor, ``Annotations``).

``open_detection`` tells the format by what lies at a path; nothing is downloaded. Boxes are clipped
to their picture; those with no area left are not in the set, and a warning counts them.
"""

from spikewright.data.detection.coco import from_coco as from_coco
from spikewright.data.detection.coco_file import read_coco as read_coco
from spikewright.data.detection.digits_scenes import pasted_digits as pasted_digits
from spikewright.data.detection.npz import from_npz as from_npz
from spikewright.data.detection.open import open_detection as open_detection
from spikewright.data.detection.sets import DetectionSet as DetectionSet
from spikewright.data.detection.voc import VOC_CLASSES as VOC_CLASSES
from spikewright.data.detection.voc import from_voc as from_voc
from spikewright.data.detection.yolo import from_yolo as from_yolo
