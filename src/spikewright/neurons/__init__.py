# SPDX-License-Identifier: Apache-2.0
"""Neurons: the dynamics that emit trains, one per file, as pure functions on tensors.

``neurons()`` finds their declarations by public name, those of other packages through the entry
point group ``spikewright.neurons`` included.
"""

from typing import TypeVar

from spikewright.codes.lookup import Lookup, registered
from spikewright.errors import ConfigError
from spikewright.neurons.base import Accumulating as Accumulating
from spikewright.neurons.base import Firing as Firing
from spikewright.neurons.base import Neuron as Neuron
from spikewright.neurons.base import State as State
from spikewright.neurons.base import Stepping as Stepping
from spikewright.neurons.inverse_lif import InverseLIF as InverseLIF
from spikewright.neurons.lateral_inhibition import LateralInhibition as LateralInhibition

ENTRY_POINTS = "spikewright.neurons"

K = TypeVar("K")


def neurons() -> Lookup[type[Neuron]]:
    """Return every known neuron and gate; see :func:`spikewright.codes.lookup.registered`."""
    bases = (Stepping, Accumulating)
    return registered("neuron", __name__, __path__, Neuron, ENTRY_POINTS, bases)  # type: ignore[type-abstract]


def accumulating(name: str) -> type[Accumulating]:
    """Return a neuron that fires after its whole input.

    Raises:
        UnknownNameError: If no neuron has this name.
        ConfigError: If it spikes while its input arrives, or is a gate.
    """
    return _of_kind(name, Accumulating, "fires after its input", "the synchronous schedule")


def stepping(name: str) -> type[Stepping]:
    """Return a neuron that can spike in every step.

    Raises:
        UnknownNameError: If no neuron has this name.
        ConfigError: If it fires after its input only, or is a gate.
    """
    return _of_kind(name, Stepping, "steps with its input", "the layered schedule")


def _of_kind(name: str, kind: type[K], what: str, other: str) -> type[K]:
    table = neurons()
    cls = table[name]
    if not issubclass(cls, kind):
        able = ", ".join(n for n in table if issubclass(table[n], kind))
        raise ConfigError(
            f"neuron {name!r}: expected one that {what} ({able}), got one that does not. "
            f"Use {other} for it."
        )
    return cls
