# SPDX-License-Identifier: Apache-2.0
"""Ways out of Python: the integer program of a network, and what is made from it."""

from spikewright.exports.targets import TARGETS as TARGETS
from spikewright.exports.verilog import LANES as LANES
from spikewright.exports.write import Exported as Exported
from spikewright.exports.write import export as export
from spikewright.integers.lowering import lower as lower
from spikewright.integers.program import IntegerProgram as IntegerProgram
from spikewright.integers.program import Operation as Operation
