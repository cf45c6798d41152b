# SPDX-License-Identifier: Apache-2.0
"""The converted network, its schedule, its files, and its integer form."""

from spikewright.network.files import load as load
from spikewright.network.files import save as save
from spikewright.network.integer import to_integer as to_integer
from spikewright.network.schedule import DelayLine as DelayLine
from spikewright.network.schedule import LayeredSchedule as LayeredSchedule
from spikewright.network.schedule import Phase as Phase
from spikewright.network.schedule import depths as depths
from spikewright.network.schedule import layered_schedule as layered_schedule
from spikewright.network.spiking import ScheduleKind as ScheduleKind
from spikewright.network.spiking import Site as Site
from spikewright.network.spiking import SpikingNetwork as SpikingNetwork
from spikewright.network.spiking import plain as plain
from spikewright.network.synchronous import SynchronousSchedule as SynchronousSchedule
