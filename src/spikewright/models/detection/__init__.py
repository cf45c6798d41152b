# SPDX-License-Identifier: Apache-2.0
"""Detectors: the networks up to their raw maps. What becomes of these is decoding."""

from spikewright.models.detection.fastest_v2 import YoloFastestV2 as YoloFastestV2
from spikewright.models.detection.fastest_v2 import yolo_fastest_v2 as yolo_fastest_v2
from spikewright.models.detection.torchvision_split import Postprocess as Postprocess
from spikewright.models.detection.torchvision_split import split as split
from spikewright.models.detection.yolo import Yolo as Yolo
from spikewright.models.detection.yolo import casc_yolo_resnet50 as casc_yolo_resnet50
from spikewright.models.detection.yolo import casc_yolo_vgg16 as casc_yolo_vgg16
from spikewright.models.detection.yolov8 import YOLOv8 as YOLOv8
from spikewright.models.detection.yolov8 import yolov8n_relu as yolov8n_relu
