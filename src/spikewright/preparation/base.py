# SPDX-License-Identifier: Apache-2.0
"""What every step of preparation shares: frozen settings, and places in the walk where it works."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from spikewright.codes.plain import from_plain, to_plain
from spikewright.preparation.views import BlockView, LayerView, SiteView

__all__ = ["BlockStep", "Step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Base of all steps; a step is one file with one subclass that works in one or more places.

    Attributes:
        name: Public name.
        version: Changes when the meaning of the settings changes.
    """

    name: ClassVar[str | None] = None
    version: ClassVar[int] = 1

    @property
    def passes(self) -> float:
        """Runs of one input through the whole network that tuning takes, about; 0 without any."""
        return 0.0

    def at_layer(self, view: LayerView) -> None:
        """Change a weighted layer's weights, all layers in front being done."""

    def at_site(self, view: SiteView) -> None:
        """Change a population's scale, all layers in front being done."""

    def to_dict(self) -> dict[str, Any]:
        """Return name, version and settings as plain values."""
        return to_plain(self, self.version)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Build the step from what ``to_dict`` wrote; ConfigError for unknown keys."""
        return from_plain(cls, plain, cls.version)


@dataclass(frozen=True, kw_only=True)
class BlockStep(Step):
    """A step that works on blocks, behind the steps that work on their layers.

    Attributes:
        layers: Layers in a block at least.
    """

    layers: int = 2

    def at_block(self, view: BlockView) -> None:
        """Change weights and scales of the part between two places where one value passes."""
        raise NotImplementedError
