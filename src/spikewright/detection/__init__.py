# SPDX-License-Identifier: Apache-2.0
"""Boxes, their decoding from a detector's raw maps, and how right they are."""

from spikewright.detection.boxes import Annotations as Annotations
from spikewright.detection.boxes import Detections as Detections
from spikewright.detection.boxes import Placement as Placement
