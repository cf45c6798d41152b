# SPDX-License-Identifier: Apache-2.0
"""From a quantised recurrent network to a spiking one: the cell is converted as a layer is.

The conversion paper names recurrent networks on AG News as a next step (CASC, 2024, outlook). The
formulation here is ours: wake and sleep pass inside the recurrence, once for every token.
"""

import copy
from collections.abc import Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

from spikewright import api
from spikewright.errors import CalibrationError, ConfigError
from spikewright.functions.staircase import quantised
from spikewright.graph import capture, find_activations, ops, simplify
from spikewright.graph.capture import evaluation_mode
from spikewright.models.text_rnn import RecurrentCell, TextRNN
from spikewright.recurrent.network import RecurrentSNN
from spikewright.recurrent.parts import Texts, lengths_of
from spikewright.recurrent.sequence import SequenceSNN, convert_sequence

__all__ = ["UnrolledCell", "convert_recurrent"]

CALIBRATION_ROWS = 1024
"""Most pairs of token and state that the conversion of the cell is shown."""


class UnrolledCell(nn.Module):
    """One token's work as a feed-forward network of [x ; h], the token and the states before it.

        h' = a(W·x + b + U·r(h)),   r(h) = θ·clip(⌊Q·h/θ + ½⌋/Q, 0, 1)

    r is a population of its own that sends the states before as spikes, which U receives. It
    rounds to the nearest level, so a state that is on a level stays as it is: r changes nothing.

    Args:
        cell: The trained cell; copied.
        cap: θ of its activation.
        levels: Q of its activation.
    """

    def __init__(self, cell: RecurrentCell, cap: float, levels: int) -> None:
        super().__init__()
        self.cell = copy.deepcopy(cell)
        self.repeat = _Repeat(cap, levels)
        self.inputs = cell.input.in_features

    def forward(self, joined: Tensor) -> Tensor:
        """Map "batch inputs+hidden" to the states after the token, "batch hidden"."""
        x, h = joined[:, : self.inputs], joined[:, self.inputs :]
        states: Tensor = self.cell(x, self.repeat(h))
        return states


class _Repeat(nn.Module):
    """The population that sends the states before a token again."""

    def __init__(self, cap: float, levels: int) -> None:
        super().__init__()
        self.cap, self.levels = cap, levels

    def forward(self, h: Tensor) -> Tensor:
        return quantised(h, self.cap, self.levels, 0.5)


@overload
def convert_recurrent(
    model: TextRNN,
    calibration: Texts | Iterable[Texts],
    method: str | None = None,
    **options: Any,  # noqa: ANN401 - the method's own settings
) -> RecurrentSNN: ...
@overload
def convert_recurrent(
    model: nn.Module,
    calibration: Texts | Iterable[Texts],
    method: str | None = None,
    **options: Any,  # noqa: ANN401 - the method's own settings
) -> SequenceSNN: ...
def convert_recurrent(
    model: nn.Module,
    calibration: Texts | Iterable[Texts],
    method: str | None = None,
    **options: Any,
) -> RecurrentSNN | SequenceSNN:
    """Turn a trained recurrent network into a spiking one.

    A model of your own with an ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` (stacked, bidirectional, on
    packed texts) is taken apart into embedding, cells and head, which together must compute what
    it returns on the calibration texts; each cell is converted by a layered method and runs once a
    token. See ``recurrent/cells.py`` for what becomes of the states.

    Of a :class:`TextRNN` the vector of a token enters the cell as a constant current, the
    states before it as the spikes of a population that sends them again; see
    :class:`UnrolledCell`. Every token is one run of this network: with ``casc`` Q ticks awake
    and as many asleep as it takes to come to rest. At rest every neuron has sent exactly the
    level that the quantised network computes, so nothing is lost over any number of tokens.

    Args:
        model: A :class:`TextRNN` whose cell has a quantised activation, or a network of your own
            that is called with tokens (or vectors) and lengths and returns the scores of texts; it
            is not changed. Its floating type is that of the simulation.
        calibration: (tokens "batch length", lengths "batch"), one or several; for a model that
            takes no lengths (tokens, None). θ and Q are read off a :class:`TextRNN`; these show the
            method its inputs.
        method: ``"casc"`` for a :class:`TextRNN`, by default; or ``"qcfs"``, the same neurons
            without sleep, whose counts are off where spikes arrive unevenly. Gates need a layered
            method: ``"spikeconverter"``, by default, or ``"tsc"``.
        **options: The method's settings. ``T`` is the activation's Q unless given.

    Raises:
        ConfigError: If the activation is not quantised, or method or setting do not fit.
        CalibrationError: If there are no calibration texts.
        UnsupportedModuleError: If a model of your own has other parts.
        VerificationError: If its parts do not compute what it returns.

    Example:
        >>> class Classifier(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rnn = nn.GRU(4, 8, batch_first=True)
        ...         self.head = nn.Linear(8, 3)
        ...     def forward(self, x):
        ...         return self.head(self.rnn(x)[1][-1])
        >>> x = torch.randn(16, 5, 4)
        >>> snn = convert_recurrent(Classifier().eval(), (x, None), T=8)
        >>> snn.run(x).shape
        torch.Size([16, 3])
    """
    texts = [calibration] if isinstance(calibration, tuple) else calibration
    if not isinstance(model, TextRNN):
        return convert_sequence(model, texts, method or "spikeconverter", **options)
    cap, levels = _staircase(model)
    cell = UnrolledCell(model.cell, cap, levels)
    rows = _cell_inputs(model, texts)
    network = api.convert(cell, method or "casc", calibration=rows, **{"T": levels, **options})
    with torch.no_grad():
        return RecurrentSNN(
            network=network,
            embedding=model.embedding.weight.detach().clone(),
            head_weight=model.head.weight.detach().clone(),
            head_bias=model.head.bias.detach().clone(),
            pool=model.pool,
            cap=cap,
            levels=levels,
        )


def _staircase(model: TextRNN) -> tuple[float, int]:
    """Return θ and Q of the cell's activation, by what it computes."""
    example = torch.zeros(2, 3, dtype=model.head.weight.dtype)
    graph = find_activations(simplify(capture(model.cell.activation, example)))
    found = [n for n in graph if n.op == ops.RECTIFY and "levels" in n.kwargs]
    if len(found) != 1:
        raise ConfigError(
            "TextRNN.cell.activation: expected one that was trained quantised, "
            f"θ·clip(floor(Q·x/θ + φ)/Q, 0, 1), got {type(model.cell.activation).__name__}. "
            "Train the network with spikewright.training.activations.ClipFloor."
        )
    return float(found[0].kwargs["cap"]), int(found[0].kwargs["levels"])


def _cell_inputs(model: TextRNN, calibration: Iterable[Texts]) -> Tensor:
    """Return what the cell is given on some texts, "row inputs+hidden"."""
    rows, count = list[Tensor](), 0
    with evaluation_mode(model), torch.no_grad():
        for tokens, given in calibration:
            lengths = lengths_of(tokens, given)
            before = model.head.weight.new_zeros(len(tokens), model.head.in_features)
            for t, (active, h) in enumerate(model.states(tokens, lengths)):
                joined = torch.cat([model.embedding(tokens[:, t]), before], dim=1)
                rows.append(joined[active.squeeze(1)])
                count, before = count + len(rows[-1]), h
            if count >= CALIBRATION_ROWS:
                break
    if not count:
        raise CalibrationError(
            "convert_recurrent: expected calibration texts, got none. "
            "Pass what Tokeniser.batch() returns for some training texts."
        )
    return torch.cat(rows)[:CALIBRATION_ROWS]
