# SPDX-License-Identifier: Apache-2.0
"""A layered network in integers as a flat list of operations with ranges: the integer program."""

from spikewright.integers.check import check_network as check_network
from spikewright.integers.errors import NoForm as NoForm
from spikewright.integers.lowering import lower as lower
from spikewright.integers.program import IntegerProgram as IntegerProgram
from spikewright.integers.program import Operation as Operation
from spikewright.integers.step import lower_step as lower_step
