# SPDX-License-Identifier: Apache-2.0
"""What in a network is spikes and what is not, as a table: operations and energy by place."""

from spikewright.energy.energy import energy_by_layer
from spikewright.energy.energy_model import EnergyModel
from spikewright.evaluation.layer_count import LayerCount
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.purity import operations_by_class
from spikewright.report.tables import Field, Table
from spikewright.text import number, percent

__all__ = ["work_table"]

_PLACES = (
    ("spikes at weights", ("layer", "shortcut")),
    ("spikes at held values (products)", ("product",)),
    ("spikes into registers", ("register",)),
    ("function units", ("function",)),
    ("analog work at the ends", ("analog",)),
    ("neurons, gates and read-outs by themselves", ("neurons", "gate", "read-out")),
    ("relays left analog", ("relay left analog",)),
)


def work_table(x: LengthResult, model: EnergyModel) -> Table:
    """Return where the operations for one input are done, and the energy goes.

    Args:
        x: What was counted.
        model: The prices.
    """
    total, energy = sum(x.operations.values()), energy_by_layer(x, model)
    whole, rows = sum(energy) or 1.0, []
    for place, kinds in _PLACES:
        own = [layer for layer in x.layers if layer.kind in kinds]
        cost = sum(e for layer, e in zip(x.layers, energy, strict=True) if layer.kind in kinds)
        if not own:
            continue
        done = _operations(own, x)
        share = done / total if total else 0.0
        rows.append(
            (
                Field(place),
                Field(f"{len(own)}"),
                Field(_classes(own, x)),
                Field(percent(share) if done else "-", 100 * share if done else None),
                Field(percent(cost / whole), 100 * cost / whole),
            )
        )
    purity = x.spike_purity
    caption = (
        "What is done by spikes and what is not, for one input. Spike purity: "
        f"{percent(purity)} of the operations on values are additions that spikes cause. Neurons' "
        f"own arithmetic in every tick is not among them. Energy by {model.title}."
    )
    head = ("what", "places", "operations", "of all operations", "of the energy")
    return Table(caption, head, tuple(rows), left=1)


def _operations(layers: list[LayerCount], x: LengthResult) -> float:
    return sum(operations_by_class(layers, x.samples, x.worked_ticks / x.steps).values())


def _classes(layers: list[LayerCount], x: LengthResult) -> str:
    """Write how many operations of each class there are."""
    found = operations_by_class(layers, x.samples, x.worked_ticks / x.steps)
    return ", ".join(f"{number(n)} {name}" for name, n in found.items() if n) or "-"
