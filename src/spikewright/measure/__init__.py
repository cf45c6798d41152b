# SPDX-License-Identifier: Apache-2.0
"""Numbers from runs: accuracy, spikes, additions by exact fan-out, energy, errors by cause."""

from spikewright.measure.diagnose import diagnose as diagnose
from spikewright.measure.diagnosis import Diagnosis as Diagnosis
from spikewright.measure.energy import Energy as Energy
from spikewright.measure.energy import energy_by_layer as energy_by_layer
from spikewright.measure.energy import energy_of as energy_of
from spikewright.measure.energy_model import EnergyModel as EnergyModel
from spikewright.measure.energy_model import choose_models as choose_models
from spikewright.measure.evaluate import Counter as Counter
from spikewright.measure.evaluate import evaluate as evaluate
from spikewright.measure.examples import Example as Example
from spikewright.measure.examples import Picture as Picture
from spikewright.measure.examples import Track as Track
from spikewright.measure.examples import look_at as look_at
from spikewright.measure.gather import gather as gather
from spikewright.measure.layer_count import LayerCount as LayerCount
from spikewright.measure.layer_error import LayerDiagnosis as LayerDiagnosis
from spikewright.measure.layer_error import Part as Part
from spikewright.measure.length import LengthResult as LengthResult
from spikewright.measure.memory import MemoryUse as MemoryUse
from spikewright.measure.memory import memory_of as memory_of
from spikewright.measure.paths import FanOut as FanOut
from spikewright.measure.result import Result as Result
from spikewright.measure.verdict import verdict as verdict
from spikewright.measure.work import Work as Work
from spikewright.measure.work import work_of as work_of
