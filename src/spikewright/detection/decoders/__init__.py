# SPDX-License-Identifier: Apache-2.0
"""From a detector's raw outputs to boxes, one family a file."""

from spikewright.detection.decoders.anchor_free import AnchorFreeYolo as AnchorFreeYolo
from spikewright.detection.decoders.anchor_free import boxes_of as boxes_of
from spikewright.detection.decoders.anchor_free import scores_of as scores_of
from spikewright.detection.decoders.anchors import YOLO_FASTEST_V2 as YOLO_FASTEST_V2
from spikewright.detection.decoders.anchors import YOLO_V2 as YOLO_V2
from spikewright.detection.decoders.anchors import YOLO_V2_VOC as YOLO_V2_VOC
from spikewright.detection.decoders.anchors import YOLO_V3 as YOLO_V3
from spikewright.detection.decoders.anchors import YOLO_V3_TINY as YOLO_V3_TINY
from spikewright.detection.decoders.anchors import YOLO_V4 as YOLO_V4
from spikewright.detection.decoders.anchors import YOLO_V5 as YOLO_V5
from spikewright.detection.decoders.anchors import AnchorLevel as AnchorLevel
from spikewright.detection.decoders.anchors import AnchorYolo as AnchorYolo
from spikewright.detection.decoders.base import Custom as Custom
from spikewright.detection.decoders.base import Decoder as Decoder
from spikewright.detection.decoders.dense import FCOS as FCOS
from spikewright.detection.decoders.dense import RETINANET as RETINANET
from spikewright.detection.decoders.dense import DenseDetector as DenseDetector
from spikewright.detection.decoders.dense import DenseLevel as DenseLevel
from spikewright.detection.decoders.dfl import DflYolo as DflYolo
from spikewright.detection.decoders.lookup import decoder as decoder
from spikewright.detection.decoders.lookup import names as names
