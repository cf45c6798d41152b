# SPDX-License-Identifier: Apache-2.0
"""Numbers from runs: accuracy, agreement, spikes, additions by exact fan-out, errors by cause."""

from spikewright.measure.diagnose import diagnose as diagnose
from spikewright.measure.diagnosis import Diagnosis as Diagnosis
from spikewright.measure.evaluate import Counter as Counter
from spikewright.measure.evaluate import evaluate as evaluate
from spikewright.measure.gather import gather as gather
from spikewright.measure.layer_error import LayerDiagnosis as LayerDiagnosis
from spikewright.measure.layer_error import Part as Part
from spikewright.measure.paths import FanOut as FanOut
from spikewright.measure.result import LayerCount as LayerCount
from spikewright.measure.result import LengthResult as LengthResult
from spikewright.measure.result import Result as Result
