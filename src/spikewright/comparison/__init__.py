# SPDX-License-Identifier: Apache-2.0
"""Many methods at many T on one checkpoint: the same images, the same calibration.

The room is not called compare, because a package of that name would hide the verb
``spikewright.compare``.
"""

from spikewright.comparison.entries import Entry, parse_entry
from spikewright.comparison.result import Comparison
from spikewright.comparison.run import compare

__all__ = ["Comparison", "Entry", "compare", "parse_entry"]
