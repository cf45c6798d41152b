# SPDX-License-Identifier: Apache-2.0
"""The converted network, its populations, its schedules, its files, and its integer form."""

from spikewright.network.files import save as save
from spikewright.network.integer import to_integer as to_integer
from spikewright.network.schedules import DelayLine as DelayLine
from spikewright.network.schedules import Layered as Layered
from spikewright.network.schedules import LayeredTiming as LayeredTiming
from spikewright.network.schedules import Phase as Phase
from spikewright.network.schedules import Schedule as Schedule
from spikewright.network.schedules import Synchronous as Synchronous
from spikewright.network.schedules import SynchronousTiming as SynchronousTiming
from spikewright.network.schedules import WakeSleep as WakeSleep
from spikewright.network.schedules import depths as depths
from spikewright.network.schedules import loaded as loaded
from spikewright.network.site import Site as Site
from spikewright.network.site import plain as plain
from spikewright.network.spiking import SpikingNetwork as SpikingNetwork
from spikewright.network.spiking import load as load
