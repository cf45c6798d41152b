# SPDX-License-Identifier: Apache-2.0
"""What every conversion method shares: a frozen config, prepared statistics in, a network out."""

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor

from spikewright import __version__
from spikewright.calibration import RULES, SiteObserver, Statistics
from spikewright.errors import CalibrationError, ConfigError
from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node
from spikewright.network import Site, SpikingNetwork

__all__ = [
    "INPUT_STATISTICS",
    "InputKind",
    "MethodConfig",
    "Prepared",
    "channel_axis",
    "check_choice",
    "check_paths",
    "check_scale",
    "observer_of",
    "provenance",
    "shaped",
    "silent_site",
    "versions",
]

INPUT_STATISTICS = "input/neurons"
"""Name under which the statistics of the network's own input are kept."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A captured, calibrated model: all that a method needs, for any of its settings.

    Attributes:
        title: The model's class name.
        graph: Batch norms folded, activations found, no sites placed yet.
        statistics: Site name to what was seen there.
        input_signed: Whether the calibration inputs held negative numbers.
        inputs: The first calibration inputs themselves, for methods that run the spiking network
            on them, "batch *feature".
    """

    title: str
    graph: Graph
    statistics: Statistics
    input_signed: bool
    inputs: Tensor | None = field(default=None, repr=False, compare=False)

    def some_inputs(self, count: int, who: str) -> Tensor:
        """Return up to ``count`` calibration inputs.

        Args:
            count: How many are wanted.
            who: The method that wants them, for the error.

        Raises:
            CalibrationError: If none were kept.
        """
        if self.inputs is None or not self.inputs.shape[0]:
            raise CalibrationError(
                f"{who}: expected calibration inputs to run the spiking network on, got statistics "
                "only. Calibrate again with spikewright.calibrate()."
            )
        return self.inputs[:count]

    def convert(self, config: "MethodConfig") -> SpikingNetwork:
        """Convert with the given method; see :func:`spikewright.convert`."""
        return config.convert(self)


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of all method settings; a method is one file with one subclass.

    Attributes:
        name: Public name of the method.
        version: Changes when the meaning of the settings changes.
        anytime: Whether the network is the same whatever T is, so that one run at the largest T
            tells all shorter ones.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[int] = 1
    anytime: ClassVar[bool] = False

    def convert(self, prepared: Prepared) -> SpikingNetwork:
        """Build the spiking network from a prepared model."""
        raise NotImplementedError

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
    return list(value) if isinstance(value, tuple) else value


def channel_axis(graph: Graph, node: Node) -> int | None:
    """Return the axis of a site's value that runs over channels, None if it has none.

    It is the last axis behind a linear layer on sequences, else axis 1.
    """
    if node.shape is None or len(node.shape) < 2:
        return None
    if len(node.shape) >= 3:
        seen = node
        while seen.inputs and (ops.weighted(seen) is None or seen.op == ops.AFFINE):
            seen = graph[seen.inputs[0]]
        spec = ops.weighted(seen)
        if (
            spec is not None
            and spec.channel_axis == -1
            and len(seen.shape or ()) == len(node.shape)
        ):
            return len(node.shape) - 1
    return 1


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "spikewright": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


InputKind = Literal["analog", "encoded", "poisson"]
"""How an input enters: constant current, spikes of the network's own code, or random spikes."""


def check_choice(name: str, value: object, choices: object) -> None:
    """Refuse a value that is none of a Literal's.

    Raises:
        ConfigError: Naming the choices.
    """
    known = get_args(choices)
    if value not in known:
        raise ConfigError(f"{name}: expected {' or '.join(map(repr, known))}, got {value!r}.")


def check_scale(rule: object) -> None:
    """Refuse what is no scale rule."""
    if not hasattr(rule, "scale"):
        raise ConfigError(f"scale: expected MinError(), Percentile(q) or Max(), got {rule!r}.")


def check_paths(config: MethodConfig, name: str) -> None:
    """Make a tuple of a setting that lists module paths; refuse a bare text."""
    value = getattr(config, name)
    if isinstance(value, str):
        raise ConfigError(f"{name}: expected a list of module paths, got the text {value!r}.")
    object.__setattr__(config, name, tuple(value))


def observer_of(prepared: Prepared, node: Node) -> SiteObserver:
    """Return what calibration has seen at a site.

    Raises:
        CalibrationError: If that is nothing.
    """
    name = INPUT_STATISTICS if node.op == ops.INPUT_SITE else node.name
    if name not in prepared.statistics:
        raise CalibrationError(
            f"{node.where()}: expected statistics of this site, got none. "
            "They belong to another model or release; calibrate again."
        )
    return prepared.statistics[name]


def silent_site(node: Node, axis: int | None) -> Site:
    """Return the site of a read-out or of a relay left analog: nothing is encoded there."""
    one = torch.tensor(1.0)
    return Site(
        name=node.name,
        channel_axis=axis or 1,
        scale=one,
        threshold=one.clone(),
        pre_bias=torch.tensor(0.0),
    )


def shaped(scale: Tensor, axis: int, node: Node) -> Tensor:
    """Return a scale per channel shaped to broadcast with a site's value without its batch."""
    if scale.ndim == 0:
        return scale
    size = [1] * (len(node.shape or ()) - 1)
    size[axis - 1] = -1
    return scale.reshape(size)


def provenance(prepared: Prepared, config: MethodConfig, graph: Graph) -> dict[str, Any]:
    """Return the history of a network: model, method, settings, versions, calibration."""
    return {
        "model": prepared.title,
        "method": config.name,
        "config": config.to_dict(),
        "versions": versions(),
        "calibration_samples": prepared.statistics.samples,
        "statistics_digest": prepared.statistics.digest(),
        "analog_range": {
            n: float(o.histogram.max.max())
            for n, o in prepared.statistics.items()
            if n in graph.nodes and ops.kind(graph[n]) != "site"
        },
    }
