# SPDX-License-Identifier: Apache-2.0
"""What every conversion method shares: a frozen config, prepared statistics in, a network out."""

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch

from spikewright import __version__
from spikewright.calibration import Statistics
from spikewright.errors import ConfigError
from spikewright.graph import ops
from spikewright.graph.ir import Graph, Node
from spikewright.network import SpikingNetwork

__all__ = ["INPUT_STATISTICS", "MethodConfig", "Prepared", "channel_axis", "versions"]

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
    """

    title: str
    graph: Graph
    statistics: Statistics
    input_signed: bool

    def convert(self, config: "MethodConfig") -> SpikingNetwork:
        """Convert with the given method; see :func:`spikewright.convert`."""
        return config.convert(self)


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Base of all method settings; a method is one file with one subclass.

    Attributes:
        name: Public name of the method.
        version: Changes when the meaning of the settings changes.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[int] = 1

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
        return cls(**rest)


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
