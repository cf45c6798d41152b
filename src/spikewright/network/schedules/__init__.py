# SPDX-License-Identifier: Apache-2.0
"""Schedules: when populations take in and fire, one a file.

A schedule says what follows from it: which simulators it has, in what pieces they tell of spikes,
what a full train or a spike stands for, and the clock of a network (its timing).
"""

from spikewright.codes.lookup import Lookup, discover
from spikewright.network.schedules.base import Schedule as Schedule
from spikewright.network.schedules.layered import DelayLine as DelayLine
from spikewright.network.schedules.layered import Layered as Layered
from spikewright.network.schedules.layered import LayeredTiming as LayeredTiming
from spikewright.network.schedules.layered import Phase as Phase
from spikewright.network.schedules.layered import depths as depths
from spikewright.network.schedules.layered import loaded as loaded
from spikewright.network.schedules.synchronous import Synchronous as Synchronous
from spikewright.network.schedules.synchronous import SynchronousTiming as SynchronousTiming
from spikewright.network.schedules.wake_sleep import WakeSleep as WakeSleep

SCHEDULES: Lookup[type[Schedule]] = discover("schedule", __name__, __path__, Schedule)
