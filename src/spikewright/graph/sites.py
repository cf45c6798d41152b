# SPDX-License-Identifier: Apache-2.0
"""Find where neurons sit: activations of any spelling, pools of spikes, relays, the read-out.

After :func:`place_sites` every weighted layer reads spikes, the network's own input, or a relay
that the user chose to leave analog; nothing that needs another activation is left over.
"""

import dataclasses
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.graph import ops
from spikewright.graph.activation import activation_range, behind_moves
from spikewright.graph.advice import is_random, is_recurrent, why_refused
from spikewright.graph.batch import is_plain
from spikewright.graph.constants import constants
from spikewright.graph.function_units import is_function
from spikewright.graph.ir import Graph, Node, Ref
from spikewright.graph.place_functions import place_functions
from spikewright.graph.regions import regions
from spikewright.graph.staircase import find_staircases

__all__ = [
    "Refusal",
    "Value",
    "analog_inputs",
    "encoded_values",
    "find_activations",
    "flow",
    "place_sites",
    "refusals",
]


EMBEDDING = "aten.embedding.default"


@dataclass(frozen=True)
class Value:
    """What a node's value is made of.

    Attributes:
        train: It is a spike train: spikes of one population, moved but not mixed.
        weighted: It has passed weights since the last neurons: a signed analog value.
        analog: Some of it is analog: the input, or a relay left analog.
        prefix: It depends on nothing but the input, before any weights.
        tail: It lies behind read-outs: complete values, of which function units or analog work at
            the end of the network make others.
        rectified: It is never negative.
    """

    train: bool = False
    weighted: bool = False
    analog: bool = False
    prefix: bool = False
    tail: bool = False
    rectified: bool = False


@dataclass(frozen=True)
class Refusal:
    """An operator that the conversion cannot take, where it stands, and what to do."""

    node: Node
    reason: str
    advice: str


def find_activations(graph: Graph) -> Graph:
    """Return an equal graph in which every ReLU-like activation is a ``sw.rectify`` node.

    Taken are staircases (see :func:`find_staircases`), ReLU, ReLU6, hardtanh and clamp with lower
    bound 0, threshold(0, 0), maximum with 0, and, as signed sites, clips to a symmetric range
    [−M, M]. Clips of a value that is already clipped are merged; a staircase takes only those that
    do not change it. A rectifier behind a max pool goes before it (they commute), so that the pool
    gets spikes.
    """
    graph = find_staircases(graph)
    for stale in graph:
        node = graph[stale.name]
        bounds = activation_range(graph, node)
        if bounds is None or not node.inputs:
            continue
        x = graph[node.inputs[0]]
        low, high = bounds
        if x.op == ops.RECTIFY and low <= 0:
            cap = min(high, x.kwargs.get("cap") or math.inf)
            same = cap == (x.kwargs.get("cap") or math.inf)
            if same or ("levels" not in x.kwargs and graph.has_one_reader(x.name)):
                graph.update(dataclasses.replace(x, kwargs={**x.kwargs, "cap": _finite(cap)}))
                graph.redirect(node.name, x.name)
                continue
        if low == 0 and high > 0:
            graph.update(_site(node, ops.RECTIFY, Ref(x.name), high))
        elif low == -high and math.isfinite(high) and high > 0:
            graph.update(_site(node, ops.RELAY, Ref(x.name), high))
    graph.prune()
    _rectify_before_pool(graph)
    return graph


def _site(node: Node, op: str, x: Ref, cap: float) -> Node:
    return dataclasses.replace(node, op=op, args=(x,), kwargs={"cap": _finite(cap)}, pick=None)


def _finite(cap: float) -> float | None:
    return cap if math.isfinite(cap) else None


def _rectify_before_pool(graph: Graph) -> None:
    changed = True
    while changed:
        changed = False
        users = graph.users()
        for pool in graph:
            readers = users[pool.name]
            if ops.kind(pool) != "pool" or not readers or pool.name in graph.outputs:
                continue
            source = graph[pool.inputs[0]]
            ranges = {tuple(r.kwargs.items()) for r in readers if r.op == ops.RECTIFY}
            if (
                source.op == ops.RECTIFY
                or len(ranges) != 1
                or any(r.op != ops.RECTIFY for r in readers)
            ):
                continue
            first = readers[0]
            moved = dataclasses.replace(
                first,
                name=graph.fresh_name(first.name + "/before_pool"),
                args=(Ref(source.name),),
                shape=source.shape,
            )
            graph.insert([moved], after=source.name)
            graph.redirect(source.name, moved.name, only=[pool.name])
            for reader in readers:
                graph.redirect(reader.name, pool.name)
            graph.prune()
            changed = True
            break


def flow(graph: Graph) -> dict[str, Value]:
    """Say of every value what it is made of; see :class:`Value`."""
    values: dict[str, Value] = {}
    for node in graph:
        values[node.name] = _value_of(node, [values[i] for i in node.inputs])
    return values


def _value_of(node: Node, sources: list[Value]) -> Value:
    kind = ops.kind(node)
    if kind == "input":
        return Value(analog=True, prefix=True)
    if kind == "site":
        if node.op == ops.ANALOG_RELAY:
            return Value(analog=True)
        if node.op == ops.READOUT:
            return Value(tail=True)
        return Value(train=True, rectified=node.op == ops.RECTIFY)
    if not sources or kind == "shape":
        return Value()
    if any(s.tail for s in sources):
        return Value(tail=True)
    analog = any(s.analog for s in sources)
    prefix = all(s.prefix for s in sources)
    if node.op == EMBEDDING and prefix:
        return Value(analog=True, prefix=True, weighted=True)
    if kind == "analog":
        early = prefix and not any(s.weighted for s in sources)
        return Value(analog=True, prefix=True) if early else Value(tail=True)
    if kind == "product":
        return Value(weighted=True)
    if kind == "hold":
        return Value()
    if prefix and kind != "weighted":
        return Value(analog=True, prefix=True, weighted=any(s.weighted for s in sources))
    if kind == "pool":
        return Value(
            train=sources[0].train,
            rectified=sources[0].rectified,
            weighted=sources[0].weighted,
            analog=analog,
        )
    weighted = kind == "weighted" or any(s.weighted for s in sources) or ops.is_constant_add(node)
    return Value(
        train=kind == "layout" and all(s.train for s in sources),
        weighted=weighted,
        analog=analog if kind != "weighted" else False,
        rectified=kind in ("layout", "mixing")
        and all(s.rectified for s in sources)
        and node.op not in (ops.SCALE, ops.WINDOW_SUM),
    )


def _leads_to(graph: Graph, names: Collection[str]) -> set[str]:
    """Return the nodes from which one of those named can still be reached."""
    found: set[str] = set()
    users = graph.users()
    for node in reversed(tuple(graph)):
        if any(u.name in found or u.name in names for u in users[node.name]):
            found.add(node.name)
    return found


def analog_inputs(graph: Graph) -> tuple[str, ...]:
    """Return the analog values that the network reads: its input, or what is made of it first."""
    values, users = flow(graph), graph.users()
    return tuple(
        n.name
        for n in graph
        if values[n.name].prefix
        and n.shape is not None
        and any(not values[u.name].prefix for u in users[n.name])
    )


def refusals(graph: Graph) -> list[Refusal]:
    """List every operator that cannot be taken: neither linear, nor a function of neurons' values.

    Behind the last neurons any operator is analog work, and so is one in front of all weights.
    Random operators, recurrent layers, and embeddings of what is no input, are refused anywhere.
    """
    parts, fixed = regions(graph), constants(graph)
    layers = _leads_to(
        graph, {n.name for n in graph if ops.kind(n) in ("weighted", "pool", "site")}
    )
    found: list[Refusal] = []
    for node in graph:
        why, part = why_refused(node), parts[node.name]
        if node.name in fixed and not is_random(node):
            continue
        unfit = node.op == EMBEDDING and part.state == "function"
        if is_random(node) or is_recurrent(node) or unfit:
            found.append(Refusal(node, why.reason, why.advice))
        elif part.state == "function" and node.name in layers:
            if ops.kind(node) == "analog" and not is_function(node):
                found.append(Refusal(node, why.reason, why.advice))
        elif ops.kind(node) == "weighted" and _weight_is_a_value(node):
            reason = "its weight is computed from the input: not supported"
            found.append(Refusal(node, reason, why.advice))
    return found


def _weight_is_a_value(node: Node) -> bool:
    return len(node.args) > 1 and any(isinstance(a, Ref) for a in node.args[1:3])


def place_sites(
    graph: Graph, *, encode_input: bool = False, analog_relays: Sequence[str] = ()
) -> Graph:
    """Return the graph with relays where spikes are missing, and read-outs at its end.

    Args:
        graph: A graph after :func:`find_activations`.
        encode_input: Put neurons at the network's input, so that it enters as spikes.
        analog_relays: Module paths (or ``"re:…"`` patterns, or ``"all"``) whose relays stay analog.

    Raises:
        UnsupportedModuleError: Listing every operator that cannot be taken; or if no site is left.
        ConfigError: If a pattern of ``analog_relays`` matches no relay.
    """
    graph = graph.copy()
    if encode_input:
        _encode_input(graph)
    bad = refusals(graph)
    if bad:
        lines = "\n".join(f"  {r.node.where()}: {ops.describe(r.node)}, {r.reason}" for r in bad)
        advice = "\n".join(dict.fromkeys(r.advice for r in bad))
        names = ", ".join(dict.fromkeys(ops.describe(r.node) for r in bad))
        raise UnsupportedModuleError(
            f"model: got {len(bad)} operator(s) that no method takes ({names}), expected linear "
            "layers, ReLU-like activations and pooling in front of the last neurons:\n"
            f"{lines}\n{advice}"
        )
    place_functions(graph)
    _split_pools(graph)
    matched, open_relays = set[str](), list[str]()
    while (target := _next_relay(graph)) is not None:
        node = graph[target]
        pattern = next((p for p in analog_relays if _matches(p, node.module)), None)
        if any(ops.kind(u) in ("product", "hold") for u in behind_moves(graph.users(), target)):
            pattern = None  # a factor of a product is spikes, or what registers take in of them
        else:
            open_relays.append(node.module)
        if pattern is not None:
            matched.add(pattern)
        op = ops.RELAY if pattern is None else ops.ANALOG_RELAY
        graph.redirect(target, graph.insert_behind(target, op, "relay", {"cap": None}))
    unmatched = [p for p in analog_relays if p not in matched]
    if unmatched:
        raise ConfigError(
            f"analog_relays: expected module paths of relays, got {unmatched} which match none. "
            f"Relays of this network that may stay analog: {', '.join(open_relays) or 'none'}."
        )
    _place_readouts(graph)
    if not any(n.op in ops.SPIKING_OPS and n.op != ops.INPUT_SITE for n in graph):
        raise UnsupportedModuleError(
            "model: expected at least one activation that can spike (ReLU, ReLU6, clamp …), "
            "got none. "
            "A purely linear model, or one that consists of analog operators only, has "
            "nothing to convert."
        )
    return graph


def _split_pools(graph: Graph) -> None:
    """Pool every part of a concatenation by itself, since its parts may fire at different times."""
    for stale in graph:
        pool = graph[stale.name]
        if ops.kind(pool) != "pool" or pool.op == "aten.amax.default":
            continue
        cat = graph[pool.inputs[0]]
        axis = cat.args[1] if len(cat.args) > 1 else 0
        if cat.op != "aten.cat.default" or axis != 1 or cat.shape is None or pool.shape is None:
            continue
        if len(cat.shape) != len(pool.shape) or not is_plain(cat.shape):
            continue
        parts: list[Node] = []
        for part in cat.args[0]:
            shape = graph[part.name].shape
            new = dataclasses.replace(
                pool,
                name=graph.fresh_name(pool.name),
                args=(part, *pool.args[1:]),
                shape=(pool.shape[0], shape[1] if shape else None, *pool.shape[2:]),
            )
            graph.insert([new], after=parts[-1].name if parts else cat.name)
            parts.append(new)
        whole = dataclasses.replace(
            cat,
            name=graph.fresh_name(cat.name),
            args=(tuple(Ref(p.name) for p in parts), 1),
            shape=pool.shape,
        )
        graph.redirect(pool.name, whole.name)
        graph.insert([whole], after=parts[-1].name)
    graph.prune()


def _matches(pattern: str, module: str) -> bool:
    if pattern == "all":
        return True
    if pattern.startswith("re:"):
        return re.fullmatch(pattern[3:], module) is not None
    return pattern == module


def encoded_values(graph: Graph) -> dict[str, str]:
    """Return which values enter a network as spikes where its input is encoded.

    It is the input itself, or what analog work in front of the network makes of it (a
    normalisation): the last value after which elements are only moved, averaged or pooled.

    Args:
        graph: A graph without input neurons.

    Returns:
        Name of the value to the name of its input neurons.
    """
    return {value: _input_neurons(graph, value) for value, _ in _entries(graph)}


def _input_neurons(graph: Graph, value: str) -> str:
    return "input/neurons" if value == graph.inputs[0] else f"{value}/neurons"


def _entries(graph: Graph) -> list[tuple[str, list[str]]]:
    """Return every value that would be encoded, with those of its readers that get the spikes."""
    users = graph.users()
    ends: set[str] = set()
    while True:
        readers = _readers_of_spikes(graph, ends)
        moved = {name for found in readers.values() for name in found}
        shared = {  # analog work reads them, too
            name
            for name, found in readers.items()
            if name in moved
            and any(u.name not in found and ops.kind(u) != "shape" for u in users[name])
        }
        if not shared:
            return [(name, found) for name, found in readers.items() if name not in moved]
        ends |= shared


def _readers_of_spikes(graph: Graph, ends: Collection[str]) -> dict[str, list[str]]:
    """Follow what the network reads of its input back through what moves it, up to ``ends``."""
    values, users = flow(graph), graph.users()
    readers: dict[str, list[str]] = {}
    todo = [
        (boundary, user.name)
        for boundary in analog_inputs(graph)
        for user in users[boundary]
        if not values[user.name].prefix and ops.kind(user) != "shape"
    ]
    while todo:
        name, reader = todo.pop()
        node = graph[name]
        if reader in readers.setdefault(name, []):
            continue
        readers[name].append(reader)
        tensors = [i for i in node.inputs if graph[i].shape is not None]
        moves = ops.kind(node) in ("layout", "pool") or (
            ops.kind(node) == "mixing" and node.op not in (ops.SCALE, ops.WINDOW_SUM)
        )
        if moves and len(tensors) == 1 and name not in ends:
            todo.append((tensors[0], name))
    return readers


def _encode_input(graph: Graph) -> None:
    for value, readers in _entries(graph):
        site = Node(
            name=_input_neurons(graph, value),
            op=ops.INPUT_SITE,
            args=(Ref(value),),
            kwargs={"cap": None},
            module=graph[value].module,
            source=graph[value].source,
            shape=graph[value].shape,
        )
        graph.redirect(value, site.name, only=readers)
        graph.insert([site], after=value)


def _next_relay(graph: Graph) -> str | None:
    """Return the first value that has to become spikes, or None when all wires carry them."""
    values = flow(graph)
    for node in graph:
        if not node.inputs or values[node.name].tail:
            continue
        source = node.inputs[0]
        if ops.kind(node) == "weighted" and values[source].weighted:
            return _earliest(graph, source, values)
        if ops.kind(node) in ("product", "hold"):
            factors = [i for i in node.inputs if ops.kind(graph[i]) != "hold"]
            target = next((i for i in factors if not values[i].train), None)
            if target is not None:
                return _earliest(graph, target, values)
        gated = ops.kind(node) == "pool" and not values[source].prefix
        if gated and (not values[source].train or len(_populations(graph, source)) > 1):
            return source
    return None


def _populations(graph: Graph, name: str) -> set[str]:
    """Return the sites whose spikes a train is put together from."""
    node = graph[name]
    if ops.kind(node) == "site":
        return {name}
    found = (_populations(graph, i) for i in node.inputs if ops.kind(graph[i]) != "shape")
    return set().union(*found)


def _earliest(graph: Graph, name: str, values: dict[str, Value]) -> str:
    """Walk back through operators that only move elements, so that a value gets one relay."""
    node = graph[name]
    while ops.kind(node) == "layout":
        before = next((i for i in node.inputs if values[i].weighted), None)
        if before is None:  # sums of spikes, moved
            break
        node = graph[before]
    return node.name


def _place_readouts(graph: Graph) -> None:
    """Put a read-out between the network and whatever analog work follows it.

    What is made of an output without further layers (a multiple of it, its sum with another) is
    such work: a value is accumulated once.
    """
    fixed = frozenset(constants(graph))
    while (name := _next_readout(graph, fixed)) is not None:
        values = flow(graph)
        network = {
            n.name
            for n in graph
            if ops.kind(n) == "site"
            or (ops.kind(n) in ("weighted", "pool") and not values[n.name].tail)
        }
        below = _leads_to(graph, network)
        behind = [u.name for u in graph.users()[name] if u.name not in below | network]
        readout = graph.insert_behind(name, ops.READOUT, "readout")
        graph.redirect(name, readout, only=behind)
        graph.outputs = tuple(readout if o == name else o for o in graph.outputs)


def _next_readout(graph: Graph, fixed: Collection[str]) -> str | None:
    """Return the first value that is read by analog work or returned, and not behind a read-out."""
    values = flow(graph)
    wanted = {o for o in graph.outputs if not values[o].tail}
    for node in graph:
        if values[node.name].tail and node.op != ops.READOUT and ops.kind(node) != "shape":
            wanted.update(
                i
                for i in node.inputs
                if i not in fixed
                and not (values[i].tail or (values[i].prefix and not values[i].weighted))
                and ops.kind(graph[i]) != "shape"
            )
    return next((n.name for n in graph if n.name in wanted), None)
