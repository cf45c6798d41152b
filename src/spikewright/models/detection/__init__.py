# SPDX-License-Identifier: Apache-2.0
"""Detectors: the networks up to their raw maps. What becomes of these is decoding."""

from spikewright.models.detection.torchvision_split import Postprocess as Postprocess
from spikewright.models.detection.torchvision_split import split as split
