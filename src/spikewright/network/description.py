# SPDX-License-Identifier: Apache-2.0
"""From what a network file says to a network: every field of its kind and in its range.

Graph, populations, code and history are checked before anything is computed with them, and the
graph is run without numbers (see :mod:`spikewright.graph.validate`).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from spikewright.codes import Code, codes
from spikewright.codes.lookup import Lookup
from spikewright.errors import ConfigError, FileFormatError, SpikewrightError
from spikewright.functions import Function, functions
from spikewright.graph import ops
from spikewright.graph.batch import Shape
from spikewright.graph.complete import needs_whole_trains
from spikewright.graph.decode import decode_graph
from spikewright.graph.validate import validate
from spikewright.network.base import Network
from spikewright.network.schedules import SCHEDULES
from spikewright.network.site import Site
from spikewright.neurons import neurons

__all__ = ["SITE_TENSORS", "build", "check", "describe"]

N = TypeVar("N", bound=Network)

SITE_TENSORS = ("scale", "threshold", "pre_bias", "shift")
SITE_SETTINGS = ("signed", "channel_axis", "gamma", "neuron", "leak", "seed")

_FIELDS = (
    *("graph", "sites", "schedule", "gate", "integer", "provenance"),
    *("input", "analog_relays", "analog_range", "prepared_by"),
)
_INPUTS = ("analog", "encoded", "poisson")
_MOST_STEPS = 1 << 16  # of a train; the longest in the papers are 4096
_MOST_GAMMA = 1 << 16
_PROVENANCE: Mapping[str, tuple[type, ...]] = {
    "model": (str,),
    "method": (str,),
    "config": (dict,),
    "versions": (dict,),
    "calibration": (str,),
    "calibration_samples": (int,),
    "statistics_digest": (str,),
    "integer": (dict,),
    "equality": (dict, type(None)),
    "equality_prepared": (dict, type(None)),
    "preparation": (dict,),
    "few_spikes": (list,),
    "preprocess": (dict, type(None)),
}
"""Kinds of what is known of a history; there may be more in it."""

_EQUALITY = ("difference", "original", "tolerance", "inputs")


def describe(network: Network) -> dict[str, Any]:
    """Return everything about a network but its tensors, as JSON-able data."""
    sites = [
        {
            "name": s.name,
            "code": s.code.to_dict(),
            "function": s.function.to_dict(),
            **{k: getattr(s, k) for k in SITE_SETTINGS},
        }
        for s in network.sites.values()
    ]
    return {
        "graph": network.graph.to_dict(),
        "sites": sites,
        "schedule": network.schedule.to_dict(),
        "gate": network.gate,
        "integer": network.integer,
        "input": network.input,
        "analog_relays": list(network.analog_relays),
        "analog_range": network.analog_range,
        "prepared_by": list(network.prepared_by),
        "provenance": network.provenance,
    }


def build(data: Any, tensors: Mapping[str, Tensor], kind: type[N]) -> N:  # noqa: ANN401 - JSON
    """Make the network that a file describes.

    Args:
        data: Parsed JSON.
        tensors: ``param/NAME`` of the graph, ``site/NAME/scale`` and so on of the populations.
        kind: The class of the network.

    Raises:
        FileFormatError: At the first thing that does not fit.
    """
    fields = _table(data, "description", _FIELDS)
    params = {n.removeprefix("param/"): t for n, t in tensors.items() if n.startswith("param/")}
    graph = decode_graph(fields["graph"], params)
    known = codes(), functions()  # each looked up once
    sites = [_site(entry, tensors, *known) for entry in _is(fields, "sites", list)]
    used = {f"site/{s.name}/{k}" for s in sites for k in SITE_TENSORS}
    used |= {f"param/{p}" for node in graph for p in node.params}
    if left := sorted(set(tensors) - used):
        raise FileFormatError(
            f"tensors: expected those that the network reads, got also {', '.join(left[:8])}. "
            "Save it again."
        )
    if len({s.name for s in sites}) < len(sites):
        raise FileFormatError("sites: expected different names, got one twice. Save it again.")
    input_kind, relays = _is(fields, "input", str), _is(fields, "analog_relays", list)
    by = _is(fields, "prepared_by", list)
    if not all(isinstance(name, str) for name in by):
        raise FileFormatError(
            f"prepared_by: expected names of steps, got {str(by)[:40]}. Save it again."
        )
    if input_kind not in _INPUTS or not all(isinstance(r, str) for r in relays):
        raise FileFormatError(
            f"input: expected one of {', '.join(_INPUTS)} and paths of relays, got "
            f"{input_kind[:40]!r} and {str(relays)[:40]}. Save it again."
        )
    network = kind(
        graph=graph,
        sites={s.name: s for s in sites},
        schedule=_settings(_is(fields, "schedule", dict), "schedule", SCHEDULES),
        gate=_is(fields, "gate", str),
        integer=_is(fields, "integer", bool),
        input=input_kind,
        analog_relays=tuple(relays),
        analog_range=_ranges(_is(fields, "analog_range", dict)),
        prepared_by=tuple(by),
        provenance=_provenance(_is(fields, "provenance", dict)),
    )
    check(network)
    return network


def check(network: Network) -> None:
    """Refuse a network that cannot be run, or not as it says.

    Raises:
        FileFormatError: At the first thing that does not fit.
    """
    validate(network.graph, network.dtype)
    nodes = {n.name: n for n in network.graph if ops.kind(n) == "site"}
    if set(network.sites) != set(nodes):
        raise FileFormatError(
            "sites: expected those of the graph, they differ in "
            f"{sorted(set(nodes) ^ set(network.sites))[:8]}. Save it again."
        )
    for name, site in network.sites.items():
        _check_site(site, nodes[name].shape or ())
    _check_dynamics(network)


def _check_site(site: Site, shape: Shape) -> None:
    where = f"site {site.name!r}"
    if not site.channel_axis < max(2, len(shape)):
        raise FileFormatError(
            f"{where}: expected a channel axis from 0 to {len(shape) - 1}, got "
            f"{site.channel_axis}. Save it again."
        )
    one = [s if isinstance(s, int) else 1 for s in shape]
    channels = one[site.channel_axis] if site.channel_axis < len(one) else 1
    for name in SITE_TENSORS:
        tensor: Tensor = getattr(site, name)
        if tensor.dtype not in (torch.float32, torch.float64) or not bool(tensor.isfinite().all()):
            raise FileFormatError(
                f"{where}: expected finite numbers as {name}, got others. Convert again."
            )
        if name in ("scale", "threshold") and bool((tensor <= 0).any()):
            raise FileFormatError(
                f"{where}: expected {name} above 0, got {float(tensor.min()):g}. Convert again."
            )
        if name in ("scale", "shift"):
            fits = tuple(tensor.shape) in ((), (channels,))
        else:
            pairs = zip(reversed(tensor.shape), reversed(one), strict=False)
            fits = tensor.ndim <= len(one) and all(t in (1, s) for t, s in pairs)
        if not fits:
            raise FileFormatError(
                f"{where}: expected {name} that fits values of shape {tuple(one)} with "
                f"{channels} channels, got shape {tuple(tensor.shape)}. Convert again."
            )


def _check_dynamics(network: Network) -> None:
    """Refuse neurons, gates and codes that the schedule cannot run."""
    known, firing = neurons(), [network.sites[n.name] for n in network.spiking_nodes()]
    for name in {network.gate, *(site.neuron for site in firing)}:
        if name not in known:
            raise FileFormatError(
                f"neuron: expected one of {', '.join(known)}, got {name!r}. "
                "Install the package that it comes from."
            )
    for site in firing:
        if misfit := network.schedule.misfit(site, known[site.neuron]):
            raise FileFormatError(
                f"site {site.name!r}: expected what the {network.schedule.name} schedule can run, "
                f"got {misfit}. Convert again."
            )
    if not network.schedule.whole_trains and (complete := needs_whole_trains(network.graph)):
        raise FileFormatError(
            f"graph node {complete[0].name!r}: expected what the {network.schedule.name} schedule "
            f"can run, got {ops.describe(complete[0])} of whole trains. Convert again."
        )
    if not callable(getattr(known[network.gate], "step", None)):
        raise FileFormatError(f"gate: expected a max-pool gate, got {network.gate!r}.")
    try:
        network.timing()
    except ConfigError as error:
        raise FileFormatError(str(error)) from error


def _site(
    entry: Any,  # noqa: ANN401 - JSON
    tensors: Mapping[str, Tensor],
    known_codes: Lookup[type[Code]],
    known_functions: Lookup[type[Function]],
) -> Site:
    fields = _table(entry, "site", ("name", "code", "function", *SITE_SETTINGS))
    name = _is(fields, "name", str)
    missing = [k for k in SITE_TENSORS if f"site/{name}/{k}" not in tensors]
    if missing:
        raise FileFormatError(f"site {name!r}: expected {', '.join(missing)}, got none.")
    return Site(
        name=name,
        **{k: tensors[f"site/{name}/{k}"] for k in SITE_TENSORS},
        code=_settings(_is(fields, "code", dict), "code", known_codes),
        function=_settings(_is(fields, "function", dict), "function", known_functions),
        signed=_is(fields, "signed", bool),
        channel_axis=_whole(fields, "channel_axis", 0, 63),
        gamma=_whole(fields, "gamma", 1, _MOST_GAMMA),
        neuron=_is(fields, "neuron", str),
        leak=_real(fields, "leak", 0.0, 1.0),
        seed=_whole(fields, "seed", 0, (1 << 63) - 1),
    )


def _settings(plain: Mapping[str, Any], what: str, known: Lookup[Any]) -> Any:  # noqa: ANN401
    """Build what a name and settings describe; every setting of the kind that its field says."""
    name = _is(plain, "name", str)
    if name not in known:
        raise FileFormatError(f"{what}: expected one of {', '.join(known)}, got {name!r}.")
    cls = known[name]
    for field in dataclasses.fields(cls):
        if field.name not in plain:
            raise FileFormatError(f"{what}: expected {field.name}, got none. Save it again.")
        if field.type is int:
            _whole(plain, field.name, 0, _MOST_STEPS)
        elif field.type is float:
            _real(plain, field.name, -1e30, 1e30)
        else:
            _is(plain, field.name, field.type if isinstance(field.type, type) else object)
    try:
        return cls.from_dict(plain)
    except SpikewrightError as error:
        raise FileFormatError(f"{what}: {error}") from error


def _ranges(found: dict[str, Any]) -> dict[str, float]:
    for name, size in found.items():
        if type(size) not in (int, float) or not 0 <= size <= 1e300:
            raise FileFormatError(f"analog_range: that of {name!r} is none. Save it again.")
    return found


def _provenance(history: dict[str, Any]) -> dict[str, Any]:
    for key, kinds in _PROVENANCE.items():
        if key in history and type(history[key]) not in kinds:
            raise FileFormatError(f"provenance: {key} is of another kind. Save it again.")
    for law in ("equality", "equality_prepared"):
        for name in _EQUALITY if history.get(law) is not None else ():
            _real(history[law], name, 0.0, 1e300)
    return history


def _table(data: Any, what: str, keys: tuple[str, ...]) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(data, dict) or set(data) != set(keys):
        got = ", ".join(sorted(data)) if isinstance(data, dict) else type(data).__name__
        raise FileFormatError(
            f"{what}: expected the fields {', '.join(keys)}, got {got[:200]}. Save it again."
        )
    return data


def _is(fields: Mapping[str, Any], key: str, kind: type) -> Any:  # noqa: ANN401 - of that kind
    value = fields.get(key)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise FileFormatError(
            f"{key}: expected {kind.__name__}, got {str(value)[:40]!r}. Save it again."
        )
    return value


def _whole(fields: Mapping[str, Any], key: str, low: int, high: int) -> int:
    value = _is(fields, key, int)
    if not low <= value <= high:
        raise FileFormatError(f"{key}: expected {low} to {high}, got {value}. Convert again.")
    return int(value)


def _real(fields: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value: Any = fields.get(key)
    if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
        raise FileFormatError(
            f"{key}: expected a number from {low:g} to {high:g}, got {str(value)[:40]!r}. "
            "Convert again."
        )
    return float(value)
