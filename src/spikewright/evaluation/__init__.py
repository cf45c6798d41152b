# SPDX-License-Identifier: Apache-2.0
"""Numbers from runs: accuracy at every step, spikes, additions by exact fan-out."""

from spikewright.evaluation.evaluate import Counter as Counter
from spikewright.evaluation.evaluate import evaluate as evaluate
from spikewright.evaluation.fan_out import FanOut as FanOut
from spikewright.evaluation.fixed_work import FixedWork as FixedWork
from spikewright.evaluation.fixed_work import fixed_work_of as fixed_work_of
from spikewright.evaluation.gather import gather as gather
from spikewright.evaluation.layer_count import LayerCount as LayerCount
from spikewright.evaluation.length import LengthResult as LengthResult
from spikewright.evaluation.length_counts import LengthCounts as LengthCounts
from spikewright.evaluation.rasters import Example as Example
from spikewright.evaluation.rasters import Picture as Picture
from spikewright.evaluation.rasters import Track as Track
from spikewright.evaluation.rasters import look_at as look_at
from spikewright.evaluation.result import Result as Result
