# SPDX-License-Identifier: Apache-2.0
"""Least-squares refit: each layer's weights for the trains that really arrive."""

from dataclasses import dataclass
from typing import ClassVar

from spikewright.errors import ConfigError
from spikewright.preparation.base import Step
from spikewright.preparation.halves import halves_of
from spikewright.preparation.moments import accepted
from spikewright.preparation.views import LayerView
from spikewright.preparation.windows import can_unfold

__all__ = ["Refit"]

MOST_FEATURES = 2400
"""Weights of an output up to which the normal equations are solved: seconds, 46 MB."""


@dataclass(frozen=True, kw_only=True)
class Refit(Step):
    """Fit weights and biases of each layer to the original output, front to back.

    With what the layer reads x̂ (trains of the layers in front, as prepared, and the constant 1)
    and its error r, W ← W + argmin_S Σ (r - S·x̂)² + ρ·Σ_i E[x̂_i²]·S_i²: ridge regression around
    the given weights. Each output takes the ρ that does best on the half of the inputs that it was
    not fitted to: one of ``ridges``, only the mean (bias correction), or no change. Transposed
    convolutions, layers of more than 2400 weights an output and layers that share their weights get
    their mean corrected only.

    Then it is done again for what the neurons behind pass on: where original and quantised output
    are both below zero, or both above λ, nothing is lacking, and an output that was below zero is
    to become zero at most. This bounds the error behind the neurons from above and touches it where
    the layer stands, so each further round reduces that error, on the inputs it is fitted to.

    Attributes:
        ridges: ρ to choose from, each above 0.
        rounds: Fits to what neurons pass on, behind the one to all; 0 or more.
    """

    name: ClassVar[str | None] = "refit"

    ridges: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)
    rounds: int = 1

    def __post_init__(self) -> None:
        """Check every setting."""
        object.__setattr__(self, "ridges", tuple(map(float, self.ridges)))
        if not self.ridges or not all(r > 0.0 for r in self.ridges):
            raise ConfigError(
                f"refit: expected ridges above 0, got {self.ridges}. Leave them out for the "
                "default."
            )
        if type(self.rounds) is not int or self.rounds < 0:
            raise ConfigError(
                f"refit: expected rounds of 0 or more, got {self.rounds!r}. Leave it out for 1."
            )

    def at_layer(self, view: LayerView) -> None:
        """Fit one layer."""
        weight, node = view.weight, view.node
        shared = sum(view.node.args[1].name in n.params for n in view.draft.original) > 1
        unfolded = can_unfold(node) and weight[0].numel() <= MOST_FEATURES and not shared
        for passed in (False,) + (True,) * self.rounds:
            if passed and view.neurons() is None:
                break
            halves = halves_of(view, unfolded=unfolded, passed=passed)
            s, change = accepted(halves, self.ridges if unfolded else ())
            changed = int(change.sum())
            again = " again" if passed else ""
            view.draft.note(str(self.name), "changed" + again, changed)
            view.draft.note(str(self.name), "kept" + again, change.numel() - changed)
            if changed:
                by_output = s.transpose(1, 2)
                own = by_output[..., :-1].reshape(weight.shape) if unfolded else None
                view.change(own, by_output[..., -1].reshape(-1))
