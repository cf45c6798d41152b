# SPDX-License-Identifier: Apache-2.0
"""LSTM, GRU and RNN classifiers as spiking networks: a run of a converted cell for every token."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from spikewright import api
from spikewright.errors import ConfigError
from spikewright.methods import MethodConfig, configure
from spikewright.network import SpikingNetwork
from spikewright.recurrent.cells import Layout
from spikewright.recurrent.parts import Texts, lengths_of, parts_of
from spikewright.recurrent.passes import Step, go_over, read
from spikewright.simulators import simulator

__all__ = ["SequenceSNN", "convert_sequence"]

CALIBRATION_ROWS = 4096
"""Most runs of a cell that its conversion is shown, spread over all texts and tokens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SequenceSNN:
    """A converted recurrent classifier; holds no state of a run.

    Its cells and its head are spiking networks like any other. Between tokens a state h is what the
    next run's neurons send, c is kept in the unit; see ``recurrent/cells.py``. What comes out of a
    lower layer is sent once for the token that follows and once for the layer above.

    Attributes:
        cells: Inputs (x, h) or (x, h, c), outputs (h,) or (h, c); one a layer and direction.
        head: From the state that is read to scores; runs once a text.
        layout: How the cells stand to each other.
        reading: What the head reads: ``"last"``, ``"mean"``, ``"max"`` or ``"end"``.
        embedding: Vectors of the tokens, "vocabulary inputs"; None for sequences of vectors.
        provenance: What it was converted from; nothing reads it.
    """

    cells: tuple[SpikingNetwork, ...]
    head: SpikingNetwork
    layout: Layout
    reading: str
    embedding: Tensor | None
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def networks(self) -> dict[str, SpikingNetwork]:
        """All networks by name: the cells as PyTorch names their weights, ``"head"``."""
        cells = {self.layout.title(i): cell for i, cell in enumerate(self.cells)}
        return {**cells, "head": self.head}

    @cached_property
    def _step(self) -> Step:
        run = [simulator(cell) for cell in self.cells]

        def step(cell: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return run[cell](self.cells[cell].check_input(given))

        return step

    def states(
        self, x: Tensor, lengths: Int64[Tensor, " batch"] | None = None, step: Step | None = None
    ) -> Float[Tensor, "batch features"]:
        """Run texts through the cells and return what the head reads.

        Args:
            x: See :meth:`run`.
            lengths: See :meth:`run`.
            step: Runs a cell; the fastest simulator by default.

        Raises:
            ShapeError: If a length is below 1 or above that of ``x``.
        """
        lengths = lengths_of(x, lengths)
        vectors = x if self.embedding is None else self.embedding[x]
        with torch.no_grad():
            outputs = go_over(self.layout, vectors, lengths, step or self._step)
            return read(self.reading, self.layout, outputs, lengths)

    def run(
        self, x: Tensor, lengths: Int64[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch classes"]:
        """Return the scores of texts.

        Args:
            x: Tokens, int64 "batch length", or vectors "batch length inputs"; what lies behind the
                end of a text has no effect.
            lengths: Tokens of each text, at least 1; all by default.

        Raises:
            ShapeError: If a length is below 1 or above that of ``x``.
        """
        found: Tensor = self.head(self.states(x, lengths))
        return found

    def cell_inputs(
        self, x: Tensor, lengths: Int64[Tensor, " batch"] | None = None
    ) -> list[tuple[Tensor, ...]]:
        """Return what each cell, and the head at the end, is given in texts, "row …" each.

        The networks are ``networks``, in this order; every verb takes one and its inputs.

        Args:
            x: See :meth:`run`.
            lengths: See :meth:`run`.

        Raises:
            ShapeError: If a length is below 1 or above that of ``x``.
        """
        seen = _Recorder(self._step, len(self.cells))
        read = self.states(x, lengths, seen)
        return [*seen.inputs(), (read,)]

    def summary(self) -> str:
        """Return what the networks are, in a few lines each."""
        facts = f"reads {self.reading} state(s); {self.provenance.get('law', '')}"
        parts = [f"{name}: {net.summary()}" for name, net in self.networks.items()]
        return "\n\n".join([f"{self.provenance.get('model', 'network')}: {facts}", *parts])


class _Recorder:
    """A step that keeps what cells are given."""

    def __init__(self, step: Step, cells: int) -> None:
        self._step, self._seen = step, [list[tuple[Tensor, ...]]() for _ in range(cells)]

    def __call__(self, cell: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self._seen[cell].append(given)
        return self._step(cell, given)

    def inputs(self, most: int | None = None) -> list[tuple[Tensor, ...]]:
        """Return the rows of every cell, as many as asked for, spread over all."""
        found = []
        for seen in self._seen:
            rows = tuple(torch.cat(values) for values in zip(*seen, strict=True))
            count = len(rows[0])
            if most is not None and count > most:
                chosen = torch.linspace(0, count - 1, most).long()
                rows = tuple(values[chosen] for values in rows)
            found.append(rows)
        return found


class Head(nn.Module):
    """A head that reads states as spikes."""

    def __init__(self, sent: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.sent, self.head = sent, head

    def forward(self, state: Tensor) -> Tensor:
        """Return the scores of the states that are read."""
        scores: Tensor = self.head(self.sent(state))
        return scores


def convert_sequence(
    model: nn.Module,
    calibration: Iterable[Texts],
    method: str | MethodConfig = "spikeconverter",
    **options: Any,  # noqa: ANN401 - the method's own settings
) -> SequenceSNN:
    """Turn a trained LSTM, GRU or RNN classifier into a spiking network.

    Args:
        model: See :func:`parts_of`; it is not changed.
        calibration: Texts that show the method the values; 512 are plenty.
        method: One with the layered schedule: functions need complete values.
        **options: The method's settings.

    Raises:
        UnsupportedModuleError: If the model is built otherwise; see :func:`parts_of`.
        VerificationError: If its parts do not compute what it returns.
        CalibrationError: If there are no texts.
        ConfigError: If the method is not layered, or a setting is unknown or does not fit.
    """
    config = configure(method, **options)
    if not config.whole_trains:
        raise ConfigError(
            f"convert_recurrent: expected a layered method for {type(model).__name__}, whose gates "
            f"are functions of complete values, got {config.name}. Use spikeconverter or tsc."
        )
    texts = list(calibration)
    parts = parts_of(model, texts)
    seen = _Recorder(lambda cell, given: parts.cells[cell](*given), len(parts.cells))
    with torch.no_grad():
        read = torch.cat([parts.run(x, lengths_of(x, given), seen) for x, given in texts])
    cells = []
    for index, rows in enumerate(seen.inputs(CALIBRATION_ROWS)):
        cell = parts.cells[index]
        cells.append(api.convert(cell, config, calibration=[rows], example=rows))
    head = Head(parts.cells[-1].sent, parts.head).eval()
    table = parts.embedding
    return SequenceSNN(
        cells=tuple(cells),
        head=api.convert(head, config, calibration=read),
        layout=parts.layout,
        reading=parts.reading,
        embedding=None if table is None else table.weight.detach().clone(),
        provenance={
            **cells[0].provenance,
            "model": type(model).__name__,
            "law": f"in plain operators it computes the model, to {parts.difference:.0e} "
            f"({parts.texts} texts; allowed 1e-05)",
        },
    )
