# SPDX-License-Identifier: Apache-2.0
"""What every conversion method shares: a frozen config, prepared statistics in, a network out."""

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    get_args,
    get_origin,
    get_type_hints,
)

import torch
from torch import Tensor

from spikewright import __version__
from spikewright.calibration import RULES, ScaleRule, SiteObserver, Statistics
from spikewright.codes import Code
from spikewright.errors import CalibrationError, ConfigError, UnsupportedModuleError
from spikewright.graph import ops, place_sites
from spikewright.graph.complete import needs_whole_trains
from spikewright.graph.ir import Graph, Node
from spikewright.network import Schedule, Site, SpikingNetwork
from spikewright.network.twin import check_equality
from spikewright.preparation import MOST_INPUTS, Step, best_way, with_draft
from spikewright.progress import working

__all__ = [
    "MethodConfig",
    "Prepared",
    "Source",
    "channel_mean",
    "check_counts",
    "observer_of",
    "provenance",
    "shaped",
    "silent_site",
    "versions",
]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A captured, calibrated model: all that a method needs, for any of its settings.

    Attributes:
        title: The model's class name.
        graph: Batch norms folded, activations found, no sites placed yet.
        statistics: Site name to what was seen there.
        signed_inputs: Names of the input neurons whose values can be negative.
        inputs: The first calibration inputs themselves, for methods that run the spiking network
            on them, "batch *feature" each.
        captured: The model as it was captured, before any pass.
        checked: On how many of the inputs every conversion is compared with the original.
        difference: Largest difference between the model and ``graph`` on these, as a share of the
            largest value beside it.
    """

    title: str
    graph: Graph
    statistics: Statistics
    signed_inputs: frozenset[str] = frozenset()
    inputs: tuple[Tensor, ...] | None = field(default=None, repr=False, compare=False)
    captured: Graph | None = field(default=None, repr=False, compare=False)
    checked: int = 0
    difference: float = 0.0

    def some_inputs(self, count: int, who: str) -> tuple[Tensor, ...]:
        """Return up to ``count`` calibration inputs.

        Args:
            count: How many are wanted.
            who: The method that wants them, for the error.

        Raises:
            CalibrationError: If none were kept.
        """
        if self.inputs is None or not self.inputs[0].shape[0]:
            raise CalibrationError(
                f"{who}: expected calibration inputs to run the spiking network on, got statistics "
                "only. Calibrate again with spikewright.calibrate()."
            )
        floating = self.graph.dtype
        return tuple(
            x[:count].to(floating) if x.is_floating_point() else x[:count] for x in self.inputs
        )

    def channel_axis(self, node: Node) -> int | None:
        """Return the axis of a site's value along which scales may differ, None for none."""
        return observer_of(self, node).channel_axis

    def convert(self, config: "MethodConfig", *, progress: bool = False) -> SpikingNetwork:
        """Convert with the given method, check the equality law, then prepare the weights.

        The law is checked as converted, against the model; and once more when weights have been
        changed on purpose, against the model with these weights.

        Args:
            config: The method's settings.
            progress: Whether to show that neurons are fitted and weights prepared.

        Raises:
            VerificationError: If the converted network would compute something else than the
                original one, naming the first operator; and what :func:`spikewright.convert` says.
        """
        with working("converting", show=progress):  # neurons may be fitted, which takes seconds
            network = dataclasses.replace(config.convert(self), source=Source(self, config))
        network = self._equal(network, config.placed(self), "equality")
        ways = config.ways()
        return self._changed(network, config, ways, progress) if ways else network

    def _equal(self, network: SpikingNetwork, original: Graph, law: str) -> SpikingNetwork:
        """Check a network against what it must compute; note the difference in its history."""
        if not self.checked or self.inputs is None:
            return network
        inputs = self.some_inputs(self.checked, "equality")
        equality = check_equality(network, original, inputs)
        measured = {"original": self.difference, **dataclasses.asdict(equality)}
        return dataclasses.replace(network, provenance={**network.provenance, law: measured})

    def _changed(
        self,
        network: SpikingNetwork,
        config: "MethodConfig",
        ways: tuple[tuple[Step, ...], ...],
        progress: bool,
    ) -> SpikingNetwork:
        """Return the network with weights and scales prepared in the best of several ways."""
        inputs = self.some_inputs(MOST_INPUTS, "prepare")
        placed = config.placed(self)
        judged = best_way(placed, network.sites, inputs, ways, progress=progress)
        network = with_draft(network, judged, len(inputs[0]))
        if not judged.steps:
            return network
        changed = judged.draft.graph
        network = dataclasses.replace(network, source=Source(self, config, changed))
        return self._equal(network, changed, "equality_prepared")


class Source(NamedTuple):
    """What a network was converted from.

    Attributes:
        prepared: The calibrated model.
        config: The method's settings.
        changed: The model with its sites and the weights that preparation has given it; None where
            weights are the model's own.
    """

    prepared: Prepared
    config: "MethodConfig"
    changed: Graph | None = None


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of all method settings; a method is one file with one subclass.

    Attributes:
        name: Public name of the method.
        version: Changes when the meaning of the settings changes.
        anytime: Whether the network is the same whatever T is, so that one run at the largest T
            tells all shorter ones.
        whole_trains: Whether populations have all of their input before they fire, so that the
            method takes functions and products of values.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    anytime: ClassVar[bool] = False
    whole_trains: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse choices that there are not; make tuples of lists of module paths.

        Raises:
            ConfigError: Naming the setting and what it takes.
        """
        hints = get_type_hints(type(self))
        for name in (f.name for f in dataclasses.fields(self)):
            value, hint = getattr(self, name), hints[name]
            if get_origin(hint) is Literal and value not in get_args(hint):
                known = " or ".join(map(repr, get_args(hint)))
                raise ConfigError(f"{name}: expected {known}, got {value!r}.")
            if hint is ScaleRule and not hasattr(value, "scale"):
                raise ConfigError(
                    f"{name}: expected MinError(), Percentile(q) or Max(), got {value!r}."
                )
            if hint == tuple[str, ...]:
                if isinstance(value, str):
                    raise ConfigError(
                        f"{name}: expected a list of module paths, got the text {value!r}."
                    )
                object.__setattr__(self, name, tuple(value))

    @property
    def input(self) -> str:
        """How the input enters; methods with a choice have a setting of this name."""
        return "analog"

    @property
    def analog_relays(self) -> tuple[str, ...]:
        """Which relays stay analog; methods with a choice have a setting of this name."""
        return ()

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Build the spiking network from a prepared model; `Prepared.convert` calls and checks."""
        raise NotImplementedError

    def ways(self) -> tuple[tuple[Step, ...], ...]:
        """Return the ways to prepare weights to choose from, none at all being one always.

        Methods with a choice have a setting ``prepare``.
        """
        return ()

    def placed(self, prepared: Prepared) -> Graph:
        """Return the original network with the sites that the method gives it.

        Raises:
            UnsupportedModuleError: If it holds something that no method takes, or functions or
                products of values, and the method does not take these.
        """
        graph = place_sites(
            prepared.graph,
            encode_input=self.input != "analog",
            analog_relays=self.analog_relays,
        )
        complete = () if self.whole_trains else needs_whole_trains(graph)
        if complete:
            names = ", ".join(dict.fromkeys(map(ops.describe, complete)))
            lines = "\n".join(f"  {n.where()}: {ops.describe(n)}" for n in complete)
            raise UnsupportedModuleError(
                f"model: got {len(complete)} operator(s) that {self.name} does not take ({names}), "
                "expected linear layers, ReLU-like activations and pooling in front of the last "
                f"neurons:\n{lines}\nThey need neurons that wait for whole trains. Convert with a "
                "method of the layered schedule: spikeconverter or tsc."
            )
        return graph

    def network(
        self,
        prepared: Prepared,
        graph: Graph,
        sites: dict[str, Site],
        schedule: Schedule,
        gate: str = "streaming-max",
    ) -> SpikingNetwork:
        """Return the network of a folded graph and its populations, with its history.

        Args:
            prepared: What was converted.
            graph: The graph in units of the sites.
            sites: Site name to population.
            schedule: When populations take in and fire.
            gate: Name of the gate that takes maxima of spikes.
        """
        return SpikingNetwork(
            graph=graph,
            sites=sites,
            schedule=schedule,
            gate=gate,
            input=self.input,
            analog_relays=self.analog_relays,
            analog_range=analog_range(prepared, graph),
            provenance=provenance(prepared, self),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able data with name and version."""
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"name": self.name, "version": self.version, **fields}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild settings from :meth:`to_dict` or from a configuration file.

        A scale rule may be given as its own dictionary.

        Raises:
            ConfigError: If name, version or a key is not this method's.
        """
        rest = dict(data)
        name, version = rest.pop("name", cls.name), rest.pop("version", cls.version)
        if name != cls.name or version != cls.version:
            raise ConfigError(
                f"{cls.name}: expected settings of {cls.name!r} version {cls.version}, "
                f"got {name!r} version {version}."
            )
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(rest) - known)
        if unknown:
            raise ConfigError(
                f"{cls.name}: unknown option(s) {', '.join(unknown)}. Known: "
                f"{', '.join(sorted(known))}."
            )
        if isinstance(rest.get("scale"), Mapping):
            rest["scale"] = RULES[str(rest["scale"].get("name", ""))].from_dict(rest["scale"])
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in rest.items()})


def _plain(value: Any) -> Any:  # noqa: ANN401 - any setting
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return [*map(_plain, value)] if isinstance(value, tuple) else value


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "spikewright": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def check_counts(config: MethodConfig, *names: str) -> None:
    """Refuse settings that are no whole numbers of at least 1.

    Raises:
        ConfigError: Naming the first one.
    """
    for name in names:
        value = getattr(config, name)
        if type(value) is not int or value < 1:
            raise ConfigError(
                f"{name}: expected a whole number, 1 or more, got {value!r}. Correct it."
            )


def observer_of(prepared: Prepared, node: Node) -> SiteObserver:
    """Return what calibration has seen at a site.

    Raises:
        CalibrationError: If that is nothing.
    """
    name = node.name
    if name not in prepared.statistics:
        raise CalibrationError(
            f"{node.where()}: expected statistics of this site, got none. "
            "They belong to another model or release; calibrate again."
        )
    return prepared.statistics[name]


def silent_site(node: Node, code: Code) -> Site:
    """Return the site of a read-out or of a relay left analog: nothing is encoded there.

    Args:
        node: The site.
        code: Over whose steps a constant current enters it.
    """
    one = torch.tensor(1.0)
    return Site(
        name=node.name,
        code=code,
        scale=one,
        threshold=one.clone(),
        pre_bias=torch.tensor(0.0),
    )


def shaped(scale: Tensor, axis: int | None, node: Node) -> Tensor:
    """Return a scale per channel shaped to broadcast with a site's value.

    Args:
        scale: "channels" or "".
        axis: The value's channel axis, None where there is one scale for all.
        node: The site.
    """
    if scale.ndim == 0 or axis is None:
        return scale
    size = [1] * len(node.shape or ())
    size[axis] = -1
    return scale.reshape(size[1:] if axis > 0 else size)


def channel_mean(value: Tensor, axis: int | None) -> Tensor:
    """Return the mean over everything but channels, "channels" or "" where there is no axis."""
    return value.mean() if axis is None else value.movedim(axis, 0).flatten(1).mean(1)


def provenance(prepared: Prepared, config: MethodConfig) -> dict[str, Any]:
    """Return the history of a network: model, method, settings, versions, calibration."""
    return {
        "model": prepared.title,
        "method": config.name,
        "config": config.to_dict(),
        "versions": versions(),
        "calibration_samples": prepared.statistics.samples,
        "statistics_digest": prepared.statistics.digest(),
    }


def analog_range(prepared: Prepared, graph: Graph) -> dict[str, float]:
    """Return the largest value that calibration saw of each analog input of a network."""
    return {
        n: float(o.histogram.max.max())
        for n, o in prepared.statistics.items()
        if n in graph.nodes and ops.kind(graph[n]) != "site"
    }
