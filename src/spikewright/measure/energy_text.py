# SPDX-License-Identifier: Apache-2.0
"""Energy for one input as a table for the terminal."""

import textwrap
from collections.abc import Sequence

from spikewright.measure.energy import OPPONENTS, Energy
from spikewright.text import table

__all__ = ["energy_text", "joules"]


def joules(pj: float) -> str:
    """Write an energy with three digits.

    Example:
        >>> joules(12.0), joules(1234.5), joules(98765432.0)
        ('12 pJ', '1.23 nJ', '98.8 µJ')
    """
    for size, unit in ((1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if pj >= size:
            return f"{pj / size:.3g} {unit}"
    return f"{pj:.3g} pJ"


def energy_text(energies: Sequence[Energy], width: int = 80) -> str:
    """Return one row for each model: energy, its ratio to both opponents, where it would pay.

    Args:
        energies: What an input costs, at least one.
        width: Columns to use at most.
    """
    bits = energies[0].bits
    rows = []
    for e in energies:
        limits = [e.break_even(o) for o in OPPONENTS]
        rows.append(
            [
                e.model.name,
                joules(e.total),
                *(f"{e.ratio(o):.2f}" for o in OPPONENTS),
                *("never" if limit is None else f"{limit:.3g}" for limit in limits),
            ]
        )
    short = f"{bits}-bit"
    head = ["energy model", "SNN", "÷ FP32", f"÷ {short}", "FP32 pays <", f"{short} pays <"]
    note = (
        "SNN: energy for one input; ÷: divided by that of the ANN in FP32, and of the ANN with "
        f"{bits}-bit activations, as many as a train has values. pays <: below so many spikes a "
        f"neuron and input it would need less (now {energies[0].spikes_per_neuron:.3g})."
    )
    return f"{table(head, rows, width=width)}\n\n{textwrap.fill(note, width)}"
