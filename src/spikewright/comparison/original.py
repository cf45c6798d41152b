# SPDX-License-Identifier: Apache-2.0
"""The original network in a comparison: run once where decisions are enough, else beside each."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.api import runner
from spikewright.comparison.cells import Ann
from spikewright.methods import Prepared
from spikewright.tasks.form import Form, wanted_of

__all__ = ["Original", "decisions_of", "form_of", "undecided"]


def form_of(model: nn.Module, prepared: Prepared) -> Form:
    """Tell what the outputs of a model are, from those of two of its calibration inputs."""
    x = prepared.some_inputs(2, "compare")
    return Form.of(wanted_of(runner(model, prepared.graph)(x)).values, len(x[0]))


def decisions_of(model: nn.Module, batches: Iterable[Any]) -> Ann:
    """Run a model that has class scores, and keep what it decides.

    Args:
        model: The original network; it is not changed.
        batches: Inputs, or inputs and classes.
    """
    start, decisions, correct, labelled, classes = time.perf_counter(), list[int](), 0, 0, 0
    run = runner(model)
    for batch in batches:
        (scores,) = wanted_of(run(batch[0])).values
        decided = scores.argmax(1).cpu()
        decisions += decided.tolist()
        classes = scores.shape[1]
        if len(batch) > 1:
            correct += int((decided == batch[1]).sum())
            labelled += len(decided)
    seconds = time.perf_counter() - start
    return Ann(tuple(decisions), correct, labelled, seconds, len(decisions), classes)


def undecided(samples: int) -> Ann:
    """Return what is known in advance of a model whose outputs are no class scores."""
    return Ann((), 0, 0, 0.0, samples, 0)


class Original:
    """What every cell is compared with.

    Args:
        ann: What is known of it.
        model: The network itself, which is run again only where decisions are not enough.
    """

    def __init__(self, ann: Ann, model: nn.Module) -> None:
        self._ann, self._model = ann, model

    def again(self) -> Callable[..., Any]:
        """Return it as a function of the inputs, from the first one on."""
        if not self._ann.classes:
            return runner(self._model)
        return _Decided(torch.tensor(self._ann.decisions), self._ann.classes)


class _Decided:
    """The original network as a function that only remembers what it decided, in order."""

    def __init__(self, decisions: Tensor, classes: int) -> None:
        self._decisions, self._classes = decisions, classes
        self._next = 0

    def __call__(self, x: Tensor) -> Tensor:
        """Return scores, one for the class that was decided, for the next inputs."""
        now = self._decisions[self._next : self._next + x.shape[0]]
        self._next += x.shape[0]
        return nn.functional.one_hot(now, self._classes)
