# SPDX-License-Identifier: Apache-2.0
"""The parts of a user's recurrent classifier: embedding, recurrent layer, what is read, head.

They are found by watching the model run on texts, and are the model: put together again they must
compute what it returns on every calibration text, or it is refused with the part that is not.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from spikewright.errors import CalibrationError, UnsupportedModuleError, VerificationError
from spikewright.graph.original import evaluation_mode
from spikewright.models.text_rnn import check_lengths
from spikewright.recurrent.cells import Cell, Layout, cells_of
from spikewright.recurrent.passes import READINGS, Step, go_over, read

__all__ = ["Parts", "Texts", "lengths_of", "parts_of"]

Texts = tuple[Tensor, Tensor | None]
"""(x, lengths): tokens "batch length" or vectors "batch length inputs", and the tokens of each
text, or None where all of them are read and the model takes x alone."""

TOLERANCE = 1e-5
"""By how much the parts may differ from the model, as a share of the largest value."""


@dataclass(frozen=True)
class Parts:
    """What a recurrent classifier is made of.

    Attributes:
        embedding: Vectors of the tokens; None where texts are sequences of vectors.
        layout: How the cells stand to each other.
        cells: One a layer and direction, in plain operators.
        reading: What the head reads; one of ``READINGS``.
        head: What makes scores of it.
        difference: Largest difference of what the parts compute to what the model returned, as a
            share of the largest score.
        texts: On how many texts that was found.
    """

    embedding: nn.Embedding | None
    layout: Layout
    cells: tuple[Cell, ...]
    reading: str
    head: nn.Module
    difference: float = 0.0
    texts: int = 0

    def vectors(self, x: Tensor) -> Tensor:
        """Return what the first layer is given."""
        found: Tensor = x if self.embedding is None else self.embedding(x)
        return found

    def run(self, x: Tensor, lengths: Tensor, watch: Step | None = None) -> Tensor:
        """Return what the head reads.

        Args:
            x: Tokens or vectors.
            lengths: Tokens of each text.
            watch: Runs the cells in place of the plain ones.
        """

        def step(cell: int, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            after: tuple[Tensor, ...] = self.cells[cell](*given)
            return after

        outputs = go_over(self.layout, self.vectors(x), lengths, watch or step)
        return read(self.reading, self.layout, outputs, lengths)


def lengths_of(x: Tensor, lengths: Tensor | None) -> Int64[Tensor, " batch"]:
    """Return the tokens of each text; all of them if none are given.

    Raises:
        ShapeError: If a length is below 1 or above that of ``x``.
    """
    lengths = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
    check_lengths(x, lengths)
    return lengths


def parts_of(model: nn.Module, texts: Iterable[Texts]) -> Parts:
    """Take a recurrent classifier apart.

    Args:
        model: One recurrent layer, an embedding in front of it or nothing, and a head that reads
            its states in one of the ways of ``READINGS`` and returns the model's scores.
        texts: Calibration texts.

    Raises:
        UnsupportedModuleError: If a part is missing, there are several, or something else is done
            between them.
        VerificationError: If the parts do not compute what the model returns.
        CalibrationError: If there are no texts.
    """
    parts, worst, count = None, 0.0, 0
    with evaluation_mode(model), torch.no_grad():
        for index, (x, given) in enumerate(texts):
            lengths, seen = lengths_of(x, given), _Seen(model)
            with seen:
                scores = model(x) if given is None else model(x, given)
            parts = parts or _first(model, seen, x, lengths, scores)
            found = parts.head(parts.run(x, lengths))
            worst = max(worst, _difference(found, scores))
            if worst > TOLERANCE:
                raise VerificationError(
                    f"{type(model).__name__}: expected its parts ({parts.reading} state, head) to "
                    f"compute its scores on calibration batch {index}, got a difference of "
                    f"{worst:.1e} of the largest one. What it does must not depend on the text "
                    "but through its tokens; pack padded texts."
                )
            count += len(x)
    if parts is None:
        raise CalibrationError(
            "convert_recurrent: expected calibration texts, got none. "
            "Pass what Tokeniser.batch() returns for some training texts."
        )
    return Parts(**{**vars(parts), "difference": worst, "texts": count})


class _Seen:
    """What the modules of a model were given and returned in one run, in order.

    Attributes:
        calls: (path, module, arguments, what it returned).
    """

    def __init__(self, model: nn.Module) -> None:
        self.calls = list[tuple[str, nn.Module, tuple[Any, ...], Any]]()
        self._model, self._hooks = model, list[Any]()

    def __enter__(self) -> None:
        for path, module in self._model.named_modules():
            if path:
                self._hooks.append(module.register_forward_hook(self._hook(path)))

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _hook(self, path: str) -> Any:  # noqa: ANN401 - a hook
        def note(module: nn.Module, given: tuple[Any, ...], returned: Any) -> None:  # noqa: ANN401
            self.calls.append((path, module, given, returned))

        return note

    def of(self, kind: type[nn.Module]) -> Iterator[tuple[str, Any, tuple[Any, ...], Any]]:
        """Yield the calls of modules of a kind."""
        return (call for call in self.calls if isinstance(call[1], kind))


def _first(model: nn.Module, seen: _Seen, x: Tensor, lengths: Tensor, scores: Any) -> Parts:  # noqa: ANN401 - as the model
    """Find the parts in the first run."""
    title = type(model).__name__
    layers, tables = list(seen.of(nn.RNNBase)), list(seen.of(nn.Embedding))
    if len(layers) != 1 or len(tables) > 1:
        names = ", ".join(f"{path} ({type(m).__name__})" for path, m, *_ in (*layers, *tables))
        raise UnsupportedModuleError(
            f"{title}: expected one nn.LSTM, nn.GRU or nn.RNN, which is called once, and at most "
            f"one embedding in front of it, got {names or 'none'}. Stack layers by num_layers; "
            "call the recurrent layer on whole texts."
        )
    path, rnn, given, _ = layers[0]
    head = next((c for c in reversed(seen.calls) if c[3] is scores and c[1] is not rnn), None)
    if head is None or not (len(head[2]) == 1 and isinstance(head[2][0], Tensor)):
        raise UnsupportedModuleError(
            f"{title}: expected its scores to be what its last module makes of one tensor, got "
            "something that is computed behind it. Put what follows the states into one module, "
            "nn.Sequential say."
        )
    layout, cells = cells_of(rnn, path)
    embedding = copy.deepcopy(tables[0][1]) if tables else None
    parts = Parts(embedding, layout, tuple(cells), "last", copy.deepcopy(head[1]))
    _check_input(title, parts, _padded(given[0], rnn), x, lengths)
    wanted = head[2][0]
    outputs = go_over(layout, parts.vectors(x), lengths, lambda c, states: parts.cells[c](*states))
    for name in READINGS:
        found = read(name, layout, outputs, lengths)
        if found.shape == wanted.shape and _difference(found, wanted) <= TOLERANCE:
            return Parts(**{**vars(parts), "reading": name})
    raise UnsupportedModuleError(
        f"{head[0]} ({type(head[1]).__name__}): expected a head that reads the last layer's states "
        f"as one of these: {', '.join(READINGS)}, got something else, of shape "
        f"{tuple(wanted.shape)}. Read h_n (of both directions side by side) or a mean over the "
        "tokens without padding; pack padded texts (pack_padded_sequence with their lengths); "
        "start from states of zero."
    )


def _check_input(title: str, parts: Parts, given: Tensor, x: Tensor, lengths: Tensor) -> None:
    """Refuse a model that does more than embed in front of its recurrent layer."""
    own = parts.vectors(x)
    inside = (torch.arange(own.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
    own, given = own[:, : given.shape[1]], given[:, : own.shape[1]]
    inside = inside[:, : own.shape[1]]
    if own.shape != given.shape or _difference(own * inside, given * inside) > TOLERANCE:
        raise UnsupportedModuleError(
            f"{title}: expected a recurrent layer that reads its embedding, or the model's own "
            "input, got something else in between. Do that work before the model, or in the "
            "embedding's weights."
        )


def _padded(given: Any, rnn: nn.RNNBase) -> Tensor:  # noqa: ANN401 - what the layer takes
    """Return a recurrent layer's input as "batch length inputs"."""
    if isinstance(given, PackedSequence):
        return pad_packed_sequence(given, batch_first=True)[0]
    found: Tensor = given if rnn.batch_first else given.transpose(0, 1)
    return found


def _difference(found: Tensor, wanted: Tensor) -> float:
    scale = float(wanted.abs().max()) if wanted.numel() else 0.0
    return float((found - wanted).abs().max()) / max(scale, 1e-12)
