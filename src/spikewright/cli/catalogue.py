# SPDX-License-Identifier: Apache-2.0
"""What there is to choose from, asked of the rooms that define it."""

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright import data, models
from spikewright.codes import codes
from spikewright.detection.decoders.lookup import names
from spikewright.energy.energy_model import choose_models
from spikewright.methods import methods
from spikewright.methods.method_docs import default_text, option_texts
from spikewright.neurons import neurons

__all__ = ["everything", "text"]

_TITLES = {
    "methods": "Methods (--method) and their options (--set)",
    "codes": "Codes: how a number becomes a train of spikes",
    "neurons": "Neurons",
    "energy": "Energy models (--energy), or a file of the same form",
    "data": "Data sets (--data, --calibration)",
    "models": "Models (--model)",
    "decoders": "Decoders (--decode): from a detector's outputs to boxes",
}
_DATA_FORMS = {
    "folder:PATH": "a folder with one sub-folder of images per class",
    "FILE.npz": "images and labels, or x and y (inputs as they are)",
    "FILE.npz:PART": "PART_images and PART_labels, for files that hold several sets",
    "boxes:PATH": "pictures with boxes: COCO .json, VOC or YOLO folder, .npz; boxes:PATH:SPLIT",
    "pictures:PATH": "pictures without labels, in a folder or an .npz file, for calibration",
    "random": "noise of the network's input shape, without labels",
}
_MODEL_FORMS = {
    "torchvision:NAME": "a classification network of torchvision",
    "MODULE:FUNCTION": "a function without arguments that returns the model; code is run",
    "FILE.py:FUNCTION": "the same, in a file",
    "FILE.pt2": "written by torch.export.save",
    "FILE.graph.json": "a network described as data",
    "trained:FILE.safetensors": "a checkpoint of spikewright train",
}


def everything() -> dict[str, list[dict[str, Any]]]:
    """Return all names by kind, each with a line on it, as JSON-able data."""
    return {
        "methods": [_method(name, cls) for name, cls in _items(methods())],
        "codes": [{"name": n, "text": _module_line(c)} for n, c in _items(codes())],
        "neurons": [{"name": n, "text": _module_line(c)} for n, c in _items(neurons())],
        "energy": [{"name": m.name, "text": f"{m.title}. {m.source}"} for m in choose_models()],
        "data": [
            *({"name": name, "text": data.describe(name)} for name in data.names()),
            *({"name": name, "text": line} for name, line in _DATA_FORMS.items()),
            *(
                {"name": name, "text": f"{data.describe(name)} (data.texts in Python)"}
                for name in data.text_names()
            ),
        ],
        "models": [
            *({"name": name, "text": "random weights unless --weights"} for name in models.names()),
            *({"name": form, "text": line} for form, line in _MODEL_FORMS.items()),
        ],
        "decoders": [
            *({"name": name, "text": "with its published settings"} for name in names()),
            {"name": "FILE.py:FUNCTION", "text": "yours, of (outputs, input size); code is run"},
        ],
    }


def text(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Write what :func:`everything` returned, at most 80 columns wide."""
    blocks = []
    for kind, entries in found.items():
        lines = [_TITLES[kind]]
        width = max([14, *(len(entry["name"]) for entry in entries)])
        for entry in entries:
            lines += _row(entry["name"], entry["text"], width, 2)
            for option in entry.get("options", ()):
                lines += _row(option["name"], f"[{option['default']}] {option['text']}", 14, 6)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _items(lookup: Any) -> list[tuple[str, type]]:  # noqa: ANN401 - a Lookup of any kind
    return [(name, lookup[name]) for name in lookup.names()]


def _method(name: str, cls: type) -> dict[str, Any]:
    texts = option_texts(cls)
    options = [
        {
            "name": field.name,
            "default": default_text(field),
            "type": str(getattr(field.type, "__name__", field.type)).replace("typing.", ""),
            "text": texts.get(field.name, ""),
        }
        for field in dataclasses.fields(cls)
    ]
    return {"name": name, "text": _module_line(cls), "options": options}


def _module_line(cls: type) -> str:
    """Return the first line on the file that a class is in, which says what the file is for."""
    return (inspect.getdoc(inspect.getmodule(cls)) or "").partition("\n")[0]


def _row(name: str, line: str, width: int, indent: int) -> list[str]:
    head = " " * indent + name.ljust(width) + "  "
    if len(name) > width:
        head = " " * (indent + width + 2)
    lines = textwrap.wrap(
        line, width=80, initial_indent=head, subsequent_indent=" " * (indent + width + 2)
    )
    return ([" " * indent + name] if len(name) > width else []) + (lines or [head.rstrip()])
