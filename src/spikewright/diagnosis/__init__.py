# SPDX-License-Identifier: Apache-2.0
"""Every neuron's error by cause, and what to do about it."""

from spikewright.diagnosis.diagnose import diagnose as diagnose
from spikewright.diagnosis.diagnosis import Diagnosis as Diagnosis
from spikewright.diagnosis.layer_error import LayerDiagnosis as LayerDiagnosis
from spikewright.diagnosis.layer_error import Part as Part
