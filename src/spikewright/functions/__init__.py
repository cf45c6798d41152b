# SPDX-License-Identifier: Apache-2.0
"""Functions: what a population computes from its accumulated potential before it fires, one a file.

``functions()`` finds them by public name, those of other packages through the entry point group
``spikewright.functions`` included.
"""

from spikewright.codes.lookup import Lookup, registered
from spikewright.functions.base import Function as Function
from spikewright.functions.clip import Clip as Clip
from spikewright.functions.curve import Curve as Curve
from spikewright.functions.identity import Identity as Identity
from spikewright.functions.relu import ReLU as ReLU
from spikewright.functions.staircase import Staircase as Staircase

ENTRY_POINTS = "spikewright.functions"


def functions() -> Lookup[type[Function]]:
    """Return every known function; see :func:`spikewright.codes.lookup.registered`."""
    return registered("function", __name__, __path__, Function, ENTRY_POINTS, Function)
