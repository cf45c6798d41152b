# SPDX-License-Identifier: Apache-2.0
"""Errors of ``torch.export`` in our words: which module, which line, what to do."""

import re
import traceback
from types import TracebackType

from torch import nn
from torch.nn.parameter import is_lazy

from spikewright.errors import UnsupportedModuleError
from spikewright.graph.calls import Call

__all__ = ["explained"]

_LIBRARY = re.compile(r"[/\\](torch|torchvision|spikewright)[/\\]")


def explained(error: Exception, model: nn.Module, call: Call) -> UnsupportedModuleError:
    """Return the error to raise when a model could not be captured.

    Args:
        error: What ``torch.export`` raised.
        model: The model.
        call: The arguments that it was called with.
    """
    title = type(model).__name__
    lazy = [n for n, p in (*model.named_parameters(), *model.named_buffers()) if is_lazy(p)]
    if lazy:
        return UnsupportedModuleError(
            f"{title}: expected a model whose weights have their sizes, got lazy ones in "
            f"{', '.join(lazy[:3])}{' …' if len(lazy) > 3 else ''}. Run the model once on an "
            "input (and train or load it), then convert."
        )
    shapes = ", ".join(str(tuple(t.shape)) for t in call.tensors())
    place = _line(error.__traceback__)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    return UnsupportedModuleError(
        f"{title}{f' ({place})' if place else ''}: expected a model that torch.export can take "
        f"with input shape {shapes}, got {type(error).__name__}: {first}. {_advice(error)}"
    )


def _line(trace: TracebackType | None) -> str:
    """Return the line of the user's own code in which it happened, with its function."""
    frames = [f for f in traceback.extract_tb(trace) if not _LIBRARY.search(f.filename)]
    own = [f for f in frames if not f.filename.startswith("<")]
    if not own:
        return ""
    name = own[-1].filename.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name}:{own[-1].lineno} in {own[-1].name}"


def _advice(error: Exception) -> str:
    name, text = type(error).__name__, str(error)
    if "DataDependent" in name or "data-dependent" in text or "GuardOnDataDependent" in name:
        return (
            "There is control flow that depends on data (an `if`, `.item()`, a mask that selects): "
            "such a choice cannot be converted. Take it out of forward."
        )
    if "ConstraintViolation" in name or "specialized" in text or "Constraints violated" in text:
        return (
            "The model works for one batch size only. Use x.shape[0] or -1 where it names the "
            "batch as a number."
        )
    if isinstance(error, TypeError) and "argument" in text:
        return (
            "It takes other arguments than it was given: pass example=(first, second, …), or a "
            "dictionary of keyword arguments."
        )
    return "Check the example's shape; control flow that depends on data has to be removed."
