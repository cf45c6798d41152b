# SPDX-License-Identifier: Apache-2.0
"""Codes: how a number becomes a train of symbols on the wire, one code per file.

``codes()`` finds them by public name, those of other packages through the entry point group
``spikewright.codes`` included.
"""

from spikewright.codes.base import Code as Code
from spikewright.codes.few_spikes import FewSpikes as FewSpikes
from spikewright.codes.lookup import Lookup as Lookup
from spikewright.codes.lookup import registered
from spikewright.codes.plain import from_plain as from_plain
from spikewright.codes.plain import to_plain as to_plain
from spikewright.codes.radix import Radix as Radix
from spikewright.codes.rate import Rate as Rate
from spikewright.codes.signed_radix import SignedRadix as SignedRadix
from spikewright.codes.switch import Switch as Switch
from spikewright.codes.tally import Tally as Tally
from spikewright.codes.wake_sleep import WakeSleep as WakeSleep
from spikewright.errors import ConfigError

ENTRY_POINTS = "spikewright.codes"


def codes() -> Lookup[type[Code]]:
    """Return every known code: the files of this package and those of entry points.

    Raises:
        ConfigError: If an entry point names something else than a code, or a name is taken.
    """
    known = registered("code", __name__, __path__, Code, ENTRY_POINTS, object)  # type: ignore[type-abstract]
    wanted = [n for n in (*vars(Code), *Code.__annotations__) if not n.startswith("_")]
    for name in known:
        has = {*dir(known[name]), *getattr(known[name], "__dataclass_fields__", ())}
        if missing := [n for n in wanted if n not in has]:
            raise ConfigError(
                f"entry point {name!r} of {ENTRY_POINTS}: expected a code, got a class without "
                f"{', '.join(missing)}. Correct the package that registers it."
            )
    return known
