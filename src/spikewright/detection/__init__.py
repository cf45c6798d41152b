# SPDX-License-Identifier: Apache-2.0
"""Boxes, their decoding from a detector's raw maps, and how right they are."""

from spikewright.detection.average_precision import CocoTruth as CocoTruth
from spikewright.detection.average_precision import DetectionScores as DetectionScores
from spikewright.detection.bootstrap import Difference as Difference
from spikewright.detection.bootstrap import Interval as Interval
from spikewright.detection.bootstrap import difference as difference
from spikewright.detection.boxes import Annotations as Annotations
from spikewright.detection.boxes import Detections as Detections
from spikewright.detection.boxes import Placement as Placement
from spikewright.detection.decoders import AnchorFreeYolo as AnchorFreeYolo
from spikewright.detection.decoders import AnchorLevel as AnchorLevel
from spikewright.detection.decoders import AnchorYolo as AnchorYolo
from spikewright.detection.decoders import Custom as Custom
from spikewright.detection.decoders import Decoder as Decoder
from spikewright.detection.decoders import DenseDetector as DenseDetector
from spikewright.detection.decoders import DenseLevel as DenseLevel
from spikewright.detection.decoders import DflYolo as DflYolo
from spikewright.detection.decoders import boxes_of as boxes_of
from spikewright.detection.decoders import decoder as decoder
from spikewright.detection.decoders import scores_of as scores_of
from spikewright.detection.fidelity import as_annotations as as_annotations
from spikewright.detection.iou import Confusion as Confusion
from spikewright.detection.iou import confusion as confusion
from spikewright.detection.nms import Suppression as Suppression
from spikewright.detection.nms import suppress as suppress
from spikewright.detection.voc import VocScores as VocScores
from spikewright.detection.voc import voc_scores as voc_scores
