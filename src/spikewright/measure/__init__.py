# SPDX-License-Identifier: Apache-2.0
"""Numbers from runs: accuracy, agreement, spikes, additions by exact fan-out."""

from spikewright.measure.evaluate import Counter as Counter
from spikewright.measure.evaluate import evaluate as evaluate
from spikewright.measure.paths import FanOut as FanOut
from spikewright.measure.result import LayerCount as LayerCount
from spikewright.measure.result import LengthResult as LengthResult
from spikewright.measure.result import Result as Result
