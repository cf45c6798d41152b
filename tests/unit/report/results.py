# SPDX-License-Identifier: Apache-2.0
"""Small results to report: a layered network, a synchronous one, and a comparison's file."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

import spikewright as sw
from spikewright.evaluation.result import Result


@cache
def measured(method: str = "spikeconverter", T: int = 4, seed: int = 0) -> Result:
    """Return what a small convolutional network does on 30 small pictures, two looked at."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(3, 4, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 5),
    )
    x, y = torch.rand(30, 1, 8, 8), torch.arange(30) % 5
    snn = sw.convert(model, method, T=T, calibration=x)
    return sw.evaluate(snn, [(x, y)], reference=model, examples=2)


def data(method: str = "spikeconverter", T: int = 4, seed: int = 0) -> dict[str, Any]:
    """Return the result as ``evaluate -o`` writes it, anew."""
    facts = {"name": "noise", "samples": 30, "of": 30, "preprocess": None}
    plain: dict[str, Any] = json.loads(measured(method, T, seed).to_json())
    return {**plain, "data": facts}


def comparison() -> dict[str, Any]:
    """Return two methods at two T as ``compare`` writes them."""
    cells = [(m, T) for m in ("burst", "tsc") for T in (2, 4)]
    results = {cell: data(*cell) for cell in cells}
    one = results["burst", 2]
    return {
        "schema": "spikewright.comparison/5",
        "provenance": {
            "title": one["provenance"]["model"],
            "statistics": one["provenance"]["statistics_digest"],
            "data": "0" * 64,
        },
        "interrupted": False,
        "ann": {
            "correct": one["reference_correct"],
            "labelled": one["reference_samples"],
            "seconds": 0.1,
        },
        "entries": [
            {"label": m, "method": m, "T": [2, 4], "training": ""} for m in ("burst", "tsc")
        ],
        "rows": [],
        "cells": [
            {"label": m, "method": m, "T": T, "anytime": False, "result": r["lengths"][0]}
            for (m, T), r in results.items()
        ],
        "data": one["data"],
    }


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Write a result to a file."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path
