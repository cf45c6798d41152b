# SPDX-License-Identifier: Apache-2.0
"""Bias correction: each layer's mean error, given the trains that really arrive, is taken away."""

from dataclasses import dataclass
from typing import ClassVar

from spikewright.preparation.base import Step
from spikewright.preparation.halves import halves_of
from spikewright.preparation.moments import accepted
from spikewright.preparation.views import LayerView

__all__ = ["Bias"]


@dataclass(frozen=True, kw_only=True)
class Bias(Step):
    """Correct the mean of each output channel of each layer, front to back.

    With the original layer's output y and its output ŷ on the trains of the layers in front, as
    they have been prepared, b ← b + mean(y - ŷ) over inputs and positions. A channel keeps its
    bias where the correction from one half of the inputs does not reduce the squared error on
    the other one.

    References:
        M. Nagel et al., Data-free quantization through weight equalization and bias correction,
        ICCV 2019 (there for weights); Y. Li et al., A free lunch from ANN, ICML 2021.
    """

    name: ClassVar[str | None] = "bias"

    def at_layer(self, view: LayerView) -> None:
        """Correct one layer."""
        s, change = accepted(halves_of(view, unfolded=False), ())
        changed = int(change.sum())
        view.draft.note(str(self.name), "changed", changed)
        view.draft.note(str(self.name), "kept", change.numel() - changed)
        if changed:
            view.change(None, s[:, -1].reshape(-1))
