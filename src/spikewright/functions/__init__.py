# SPDX-License-Identifier: Apache-2.0
"""Functions: what a population computes from its accumulated potential before it fires, one a file.

``functions()`` finds them by public name, those of other packages through the entry point group
``spikewright.functions`` included.
"""

from spikewright.codes.lookup import Lookup, discover, with_entry_points
from spikewright.functions.base import Function as Function
from spikewright.functions.clip import Clip as Clip
from spikewright.functions.identity import Identity as Identity
from spikewright.functions.relu import ReLU as ReLU
from spikewright.functions.staircase import Staircase as Staircase

ENTRY_POINTS = "spikewright.functions"


def functions() -> Lookup[type[Function]]:
    """Return every known function: the files of this package and those of entry points.

    Raises:
        ConfigError: If an entry point names something else than a function, or a name is taken.
    """
    found = discover("function", __name__, __path__, Function)
    return with_entry_points(found, ENTRY_POINTS, Function)
