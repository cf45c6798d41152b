# SPDX-License-Identifier: Apache-2.0
"""Codes: how a number becomes a train of symbols on the wire, one code per file.

``CODES`` finds them by their public name; a new code is a new file in this folder.
"""

from spikewright.codes.base import Code as Code
from spikewright.codes.lookup import Lookup as Lookup
from spikewright.codes.lookup import classes_in as classes_in
from spikewright.codes.lookup import discover as discover
from spikewright.codes.plain import from_plain as from_plain
from spikewright.codes.plain import to_plain as to_plain
from spikewright.codes.radix import Radix as Radix
from spikewright.codes.rate import Rate as Rate
from spikewright.codes.switch import Switch as Switch
from spikewright.codes.tally import Tally as Tally
from spikewright.codes.wake_sleep import WakeSleep as WakeSleep

CODES: Lookup[type[Code]] = discover("code", __name__, __path__, Code)  # type: ignore[type-abstract]
