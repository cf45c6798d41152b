# SPDX-License-Identifier: Apache-2.0
"""Integer networks on the processor's 8-bit multiply-adds, equal to float64 to the last spike."""

from spikewright.simulators.int8.engine import Engine as Engine
from spikewright.simulators.int8.kernels import missing as missing
from spikewright.simulators.int8.operations import OutOfRange as OutOfRange
