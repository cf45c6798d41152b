# SPDX-License-Identifier: Apache-2.0
"""Numbers from runs: accuracy at every step, spikes, additions by exact fan-out."""

from spikewright.evaluation.close_look import Example as Example
from spikewright.evaluation.close_look import Picture as Picture
from spikewright.evaluation.close_look import Track as Track
from spikewright.evaluation.close_look import look_at as look_at
from spikewright.evaluation.evaluate import Counter as Counter
from spikewright.evaluation.evaluate import evaluate as evaluate
from spikewright.evaluation.fan_out import FanOut as FanOut
from spikewright.evaluation.gather import gather as gather
from spikewright.evaluation.layer_count import LayerCount as LayerCount
from spikewright.evaluation.length import LengthResult as LengthResult
from spikewright.evaluation.result import Result as Result
from spikewright.evaluation.work import Work as Work
from spikewright.evaluation.work import work_of as work_of
