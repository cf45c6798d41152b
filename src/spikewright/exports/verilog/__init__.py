# SPDX-License-Identifier: Apache-2.0
"""The network in Verilog: event-driven over spikes, several channels at once."""

from spikewright.exports.verilog.file import ENGINES as ENGINES
from spikewright.exports.verilog.file import LANES as LANES
from spikewright.exports.verilog.file import VerilogSource as VerilogSource
from spikewright.exports.verilog.file import verilog_source as verilog_source
from spikewright.exports.verilog.simulate import Simulation as Simulation
from spikewright.exports.verilog.simulate import simulated as simulated
