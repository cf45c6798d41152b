# SPDX-License-Identifier: Apache-2.0
"""Errors of ``torch.export`` in our words: which module, which line, what to do."""

import re
import traceback
from types import TracebackType

from torch import nn
from torch.nn.parameter import is_lazy

from spikewright._vision import detector_family
from spikewright.errors import UnsupportedModuleError
from spikewright.graph.calls import Call

__all__ = ["explained", "is_a_detector"]

_LIBRARY = re.compile(r"[/\\](torch|torchvision|spikewright)[/\\]")


def is_a_detector(model: nn.Module, inside: str = "") -> UnsupportedModuleError:
    """Return the error to raise for a whole detector.

    Args:
        model: The detector.
        inside: Where it was found, if it is part of a model.
    """
    title = type(model).__name__
    return UnsupportedModuleError(
        f"{inside or title}: expected a network that makes tensors of tensors, got a whole "
        f"detector{f' ({title})' if inside else ''} with its post-processing (anchors, a choice of "
        "boxes, non-maximum suppression), which depends on data. Convert its body alone: "
        "body, postprocess = spikewright.models.detection.split(detector); decode what the "
        "converted body returns with postprocess(outputs, image_sizes)."
    )


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
    place = _line(error.__traceback__)
    head = f"{title}{f' ({place})' if place else ''}"
    for path, part in model.named_modules():
        if detector_family(part):
            return is_a_detector(part, inside=f"{title}.{path}")
        if isinstance(part, nn.RNNBase):
            return UnsupportedModuleError(
                f"{title}.{path} ({type(part).__name__}): expected layers that work in one run, "
                "got one that runs once a token. Convert a classifier of texts with "
                "spikewright.recurrent.convert_recurrent(model, (tokens, lengths)), or (x, None) "
                "for a model of x alone."
            )
    if _depends_on_data(error):
        return UnsupportedModuleError(
            f"{head}: expected the same operators for every input, got control flow that depends "
            "on data (an `if`, `.item()`, a mask that selects). Such a choice cannot be converted; "
            "take it out of forward."
        )
    shapes = ", ".join(str(tuple(t.shape)) for t in call.tensors())
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")
    said = re.sub(r"\bs\d+\b", "batch", first)
    return UnsupportedModuleError(
        f"{head}: expected a model that torch.export can take with input shape {shapes}, got "
        f"{type(error).__name__}: {said}. {_advice(error)}"
    )


def _line(trace: TracebackType | None) -> str:
    """Return the line of the user's own code in which it happened, with its function."""
    frames = [f for f in traceback.extract_tb(trace) if not _LIBRARY.search(f.filename)]
    own = [f for f in frames if not f.filename.startswith("<")]
    if not own:
        return ""
    name = own[-1].filename.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name}:{own[-1].lineno} in {own[-1].name}"


def _depends_on_data(error: Exception) -> bool:
    name, text = type(error).__name__, str(error)
    return "DataDependent" in name or "data-dependent" in text


def _advice(error: Exception) -> str:
    name, text = type(error).__name__, str(error)
    fixed = "ConstraintViolation" in name or "specialized" in text or "Constraints viol" in text
    if fixed or re.search(r"\bs\d+\b", text):
        return (
            "The model must take a batch of any size and inputs of this shape. Use x.shape[0] or "
            "-1 where it names the batch as a number, or check the example's shape."
        )
    if isinstance(error, TypeError) and "argument" in text:
        return (
            "It takes other arguments than it was given: pass example=(first, second, …), or a "
            "dictionary of keyword arguments."
        )
    return "Check the example's shape, and leave out what is no PyTorch operator (NumPy, printing)."
