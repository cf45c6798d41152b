# SPDX-License-Identifier: Apache-2.0
"""Energy and memory for one input as text for the terminal."""

import textwrap
from collections.abc import Sequence

from spikewright.energy.energy import OPPONENTS, Energy, Opponent
from spikewright.energy.memory import memory_of
from spikewright.evaluation.length import LengthResult
from spikewright.text import number, table

__all__ = ["energy_text", "joules", "limit_text", "memory_text"]


def joules(pj: float) -> str:
    """Write an energy with three digits.

    Example:
        >>> joules(12.0), joules(1234.5), joules(98765432.0)
        ('12 pJ', '1.23 nJ', '98.8 µJ')
    """
    for size, unit in ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ")):
        if pj >= size:
            return f"{pj / size:.3g} {unit}"
    return f"{pj:.3g} pJ"


def limit_text(energy: Energy, opponent: Opponent) -> str:
    """Write below how many spikes a neuron and input an energy is less than an opponent's."""
    if energy.never_pays(opponent):
        return "never"
    limit = energy.break_even(opponent)
    return "any" if limit is None else f"{limit:.3g}"


def energy_text(energies: Sequence[Energy], width: int = 80) -> str:
    """Return one row for each model: energy, its ratio to both opponents, where it would pay.

    Args:
        energies: What an input costs, at least one.
        width: Columns to use at most.
    """
    bits = energies[0].bits
    rows = [
        [
            e.model.name,
            joules(e.total),
            *(f"{e.ratio(o):.2f}" for o in OPPONENTS),
            *(limit_text(e, o) for o in OPPONENTS),
        ]
        for e in energies
    ]
    short = f"{bits}-bit"
    head = ["energy model", "SNN", "÷ FP32", f"÷ {short}", "FP32 pays <", f"{short} pays <"]
    note = (
        "SNN: energy for one input; ÷: divided by that of the ANN in FP32, and of the ANN with "
        f"{bits}-bit activations, as many values as a train has. pays <: below so many spikes a "
        f"neuron and input it would need less (now {energies[0].spikes_per_neuron:.3g})."
    )
    return f"{table(head, rows, width=width)}\n\n{textwrap.fill(note, width)}"


def memory_text(result: LengthResult, width: int = 80) -> str:
    """Return what is stored, and what moves for one input, in a sentence each.

    Args:
        result: What was counted.
        width: Columns to use at most.
    """
    use = memory_of(result)
    stored, moved = use.stored, use.moved
    own = f"weights {octets(stored.weights)}, potentials {octets(stored.states)}"
    text = (
        f"Memory at {use.weight_bits} bits a number: {octets(stored.total)} ({own}, delay lines "
        f"{octets(stored.spikes)}); ANN {octets(use.ann_stored.total)}. "
    )
    own = f"weights {octets(moved.weights)}, potentials {octets(moved.states)}"
    text += (
        f"Moved for one input, nothing reused: {octets(moved.total)} ({own}, spikes "
        f"{octets(moved.spikes)}); ANN {octets(use.ann_moved.total)}."
    )
    return textwrap.fill(text, width)


def octets(count: float) -> str:
    """Write a number of bytes with three digits.

    Example:
        >>> octets(12.0), octets(1234.0), octets(5e6)
        ('12 B', '1.23 kB', '5 MB')
    """
    text = number(count)
    return f"{text}B" if " " in text else f"{text} B"
