# SPDX-License-Identifier: Apache-2.0
"""From the options that say what a network is for to the task."""

from pathlib import Path
from typing import Any

from spikewright.cli.options import TaskOptions, given
from spikewright.data.detection.lines import class_names
from spikewright.detection import Custom, Decoder, decoder
from spikewright.errors import ConfigError
from spikewright.models.user_code import named_in
from spikewright.tasks import Detection, Segmentation, Task

__all__ = ["check_task", "task_of"]

_ALLOWED = {
    "detection": ("decode", "iou", "least_score", "classes"),
    "segmentation": ("classes",),
}


def task_of(options: TaskOptions, known: tuple[str, ...] = ()) -> Task | str | None:
    """Return what the options name; None where nothing is given, which is then found out.

    Args:
        options: What the user gave.
        known: Names of classes that the data have.

    Raises:
        ConfigError: If an option is missing or does not belong to the task.
        UnknownNameError: If there is no such decoder or function.
        FileFormatError: If a file is missing or damaged.
    """
    check_task(options)
    name = _name(options)
    if name == "detection":
        return Detection(decode=_decoder(options), classes=_classes(options, known))
    if name == "segmentation":
        return Segmentation(classes=len(_classes(options, known)))
    return name


def check_task(options: TaskOptions) -> None:
    """Refuse options that do not belong together, before any work.

    Raises:
        ConfigError: If an option belongs to another task, or the decoder is missing.
        UnknownNameError: If there is no such decoder or function.
    """
    name = _name(options)
    others = set(_ALLOWED["detection"]) - set(_ALLOWED.get(str(name), ()))
    if extra := given(options, *sorted(others)) if others else []:
        raise ConfigError(
            f"{', '.join(extra)}: expected with --task detection or segmentation, got "
            f"{'no task' if name is None else name}. Leave it out, or say which task it is."
        )
    if name == "detection":
        _decoder(options)


def _name(options: TaskOptions) -> str | None:
    return "detection" if options.task is None and options.decode is not None else options.task


def _classes(options: TaskOptions, known: tuple[str, ...]) -> tuple[str, ...]:
    if options.classes is None:
        if known:
            return known
        raise ConfigError(
            "--classes: expected the names of the classes, which the data do not have, got none. "
            "Give a file with one a line, or their number."
        )
    if options.classes.isdigit():
        return tuple(f"class {i}" for i in range(int(options.classes)))
    return class_names(Path(options.classes))


def _decoder(options: TaskOptions) -> Decoder:
    spec = options.decode
    if spec is None:
        raise ConfigError(
            "--decode: expected how boxes are read off the network's outputs, got nothing. Name a "
            "decoder (`spikewright list decoders` shows them), or FILE.py:FUNCTION of yours."
        )
    source, colon, name = spec.rpartition(":")
    limits: dict[str, Any] = {"iou": options.iou, "least": options.least_score}
    if not colon:
        return decoder(spec, **limits)
    if extra := given(options, "iou", "least_score"):
        raise ConfigError(
            f"{', '.join(extra)}: expected for a decoder of this package, got one of yours, "
            f"{spec}, which suppresses boxes itself. Leave it out."
        )
    return Custom(named_in(source, name, f"--decode {spec}"), spec)
