# SPDX-License-Identifier: Apache-2.0
"""What would become of a model, said without any data: spiking, analog, or not convertible."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikewright.errors import UnsupportedModuleError
from spikewright.graph import ops
from spikewright.graph.function_units import functions_by_reach
from spikewright.graph.function_work import FunctionWork, function_work
from spikewright.graph.ir import Graph, Node
from spikewright.graph.normalise import SPELLINGS
from spikewright.graph.place_curves import place_curves
from spikewright.graph.products import PRODUCTS
from spikewright.graph.sites import flow, place_sites, refusals
from spikewright.graph.tail import tail_macs
from spikewright.text import counted, table

__all__ = ["Inspection", "InspectionRow", "inspect_graph", "support_table"]

Becomes = Literal[
    "spiking",
    "relay",
    "gate",
    "synapses",
    "function",
    "product",
    "register",
    "analog",
    "read-out",
    "refused",
]


SUPPORT: dict[str, str] = {
    "weighted": "synapses of the neurons that follow; batch norm folds into them where it can",
    "activation": "a population of neurons, with a clip as the largest train",
    "pool": "a streaming max-pool gate",
    "mixing": "part of the synapse: each way through it is a connection",
    "add": "currents that add up",
    "layout": "wires that lead elsewhere",
}
"""What becomes of each class of operators."""

COMPLETE: dict[str, str] = {
    "function": "function units in front of neurons that are loaded with the result",
    "function of a group": "function units whose members exchange sums first",
}
"""What becomes of functions of complete values, by the methods of the layered schedule alone."""

_PRODUCT = "spikes of one factor add values of the other, held in registers (layered schedule)"


@dataclass(frozen=True)
class InspectionRow:
    """One operator and what becomes of it.

    Attributes:
        module: Module path.
        operator: The operator's name.
        becomes: Its class.
        note: Why, or what it means for counting.
        source: ``file:line`` of the call.
    """

    module: str
    operator: str
    becomes: Becomes
    note: str
    source: str


@dataclass(frozen=True)
class Inspection:
    """The answer of ``inspect``.

    Attributes:
        rows: Every operator that matters, in execution order.
        reason: Why the model cannot be converted, or ``""``.
    """

    rows: tuple[InspectionRow, ...]
    reason: str

    @property
    def is_convertible(self) -> bool:
        """Whether ``convert`` would take the model."""
        return not self.reason

    def counts(self) -> dict[str, int]:
        """Return how many operators there are of each class."""
        counts: dict[str, int] = {}
        for row in self.rows:
            counts[row.becomes] = counts.get(row.becomes, 0) + 1
        return counts

    def table(self, width: int = 80) -> str:
        """Return the rows as text, with a verdict on top."""
        verdict = (
            "convertible"
            if self.is_convertible
            else f"not convertible: {self.reason.splitlines()[0]}"
        )
        counts = ", ".join(f"{n} {what}" for what, n in self.counts().items())
        cells = [[r.module or "(model)", r.operator, r.becomes, r.source] for r in self.rows]
        body = table(["module", "operator", "becomes", "where"], cells, width=width, left=4)
        notes: dict[str, int] = {}
        for row in self.rows:
            if row.note:
                notes[f"{row.becomes}: {row.note}"] = notes.get(f"{row.becomes}: {row.note}", 0) + 1
        body += "\n" + "".join(f"\n{number} x {note}" for note, number in notes.items())
        return f"{verdict}\n{counts}\n\n{body}"

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able data."""
        return {
            "convertible": self.is_convertible,
            "reason": self.reason,
            "counts": self.counts(),
            "rows": [asdict(r) for r in self.rows],
        }


def inspect_graph(
    graph: Graph,
    *,
    encode_input: bool = False,
    analog_relays: Sequence[str] = (),
    few_spikes: bool = False,
) -> Inspection:
    """Say of every operator what would become of it.

    Args:
        graph: A graph after batch-norm folding and ``find_activations``.
        encode_input: As for ``place_sites``.
        analog_relays: As for ``place_sites``.
        few_spikes: Whether few-spikes neurons compute functions where they can.
    """
    refused = {r.node.name: r.reason for r in refusals(graph)}
    if not refused:
        try:
            placed = place_sites(graph, encode_input=encode_input, analog_relays=analog_relays)
            placed = place_curves(placed) if few_spikes else placed
            return Inspection(tuple(_rows(placed, {})), "")
        except UnsupportedModuleError as error:
            return Inspection(tuple(_rows(graph, {})), str(error))
    places = "; ".join(f"{graph[n].where()}: {ops.describe(graph[n])}" for n in refused)
    return Inspection(
        tuple(_rows(graph, refused)), f"{len(refused)} operator(s) cannot be taken: {places}"
    )


def support_table() -> str:
    """Return which operators become what, and which are other spellings, as Markdown tables."""
    lines = ["| operators | class | becomes |", "| --- | --- | --- |"]
    for kind, meaning in SUPPORT.items():
        names = sorted({name.split(".")[1].rstrip("_") for name in ops.operators(kind)})
        lines.append(f"| {_listed(names)} | {kind} | {meaning} |")
    for reach, computed in functions_by_reach().items():
        lines.append(f"| {_listed(computed)} | {reach} | {COMPLETE[reach]} |")
    products = sorted(name.split(".")[1] for name in PRODUCTS)
    lines.append(f"| {_listed(products)} of two values | product | {_PRODUCT} |")
    lines += ["", "| also taken | written as |", "| --- | --- |"]
    for meaning, rules in SPELLINGS.items():
        names = sorted({name.split(".")[1] for name in rules if name.startswith("aten.")})
        lines.append(f"| {_listed(names)} | {meaning} |")
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{n}`" for n in names)


def _rows(graph: Graph, refused: dict[str, str]) -> list[InspectionRow]:
    values, left, functions = flow(graph), tail_macs(graph), function_work(graph)
    rows = []
    for node in graph:
        work = None if node.name in refused else functions.get(node.name)
        found = _class_of(graph, node, values, refused)
        if node.name in left:
            found = "analog", f"behind the read-out: {left[node.name]:,} multiply-adds"
        elif work is not None and work.kind == "function":
            found = "function", _function(work)
        if found is not None:
            becomes, note = found
            named = _operator(graph, node, work, values)
            rows.append(InspectionRow(node.module, named, becomes, note, node.source))
    return rows


def _function(work: FunctionWork) -> str:
    """Say how a function unit works."""
    if not work.groups:
        return "function unit of single neurons"
    return "function unit of groups of neurons, which exchange sums"


def _operator(graph: Graph, node: Node, work: FunctionWork | None, values: dict[str, Any]) -> str:
    if work is not None and work.neurons:
        more = " …" if work.neurons[1:] else ""
        return f"{ops.describe(node)} for {work.neurons[0]}{more}"
    if ops.kind(node) == "hold":
        return f"holds {node.inputs[0]}"
    if ops.kind(node) == "product":
        left, right = (graph[arg.name] for arg in node.args[:2])
        return " × ".join("held" if ops.kind(n) == "hold" else n.name for n in (left, right))
    if node.op == ops.CURVE:
        return f"{node.kwargs['curve']}, few spikes"
    if node.op == ops.RECTIFY:
        cap, levels = node.kwargs.get("cap"), node.kwargs.get("levels")
        if levels is not None:
            return f"{counted(levels, 'level')} up to {cap:.4g}"
        if values[node.inputs[0]].tail:  # loaded with a function's value, which has no sign
            return "neurons" if cap is None else f"neurons, capped at {cap:g}"
        return "ReLU" if cap is None else f"ReLU, capped at {cap:g}"
    return ops.describe(node)


def _class_of(
    graph: Graph, node: Node, values: dict[str, Any], refused: dict[str, str]
) -> tuple[Becomes, str] | None:
    kind, value = ops.kind(node), values[node.name]
    if node.name in refused:
        return "refused", refused[node.name]
    if node.op in (ops.RECTIFY, ops.INPUT_SITE):
        levels = node.kwargs.get("levels")
        return "spiking", "" if levels is None else f"trained with {counted(levels, 'level')}"
    if node.op == ops.CURVE:
        return "spiking", "few-spikes neurons: trains fitted to the function, no function unit"
    if node.op == ops.RELAY:
        return "relay", "ON/OFF pair: a signed value on its way to weights"
    if node.op == ops.ANALOG_RELAY:
        return "analog", "relay left analog: its receivers do multiply-adds"
    if node.op == ops.READOUT:
        return "read-out", "accumulates only"
    if kind == "product":
        return "product", "each spike of one factor adds held values of the other"
    if kind == "hold":
        return "register", "takes in whole trains; conversion chooses which factor is held"
    if kind == "pool" and value.train:
        return "gate", "streaming maximum"
    if kind == "weighted":
        analog = bool(node.inputs) and values[node.inputs[0]].analog
        return "synapses", "analog input: multiply-adds" if analog else "additions only"
    if kind in ("analog", "pool") and node.shape is not None:
        return "analog", "behind the read-out" if value.tail else "before the spikes"
    return None
