# SPDX-License-Identifier: Apache-2.0
"""Markdown, JSON, CSV and pictures: the same numbers, readable by others."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spikewright.energy.energy import energy_of
from spikewright.energy.energy_model import choose_models
from spikewright.errors import FileFormatError
from spikewright.evaluation.length import LengthResult
from spikewright.evaluation.rasters import Picture
from spikewright.report.content import content
from spikewright.report.data import COLUMNS, SCHEMA, to_csv, to_dict
from spikewright.report.markdown import markdown
from spikewright.report.pictures import data_uri
from spikewright.report.read import measured_of, read
from tests.unit.report.results import comparison, data, measured, write

MODELS = choose_models(["fp32", "memory-int8"])
FOUND = content(measured_of(measured(), data()["data"]), MODELS)


def test_json_has_a_version_and_holds_what_it_was_made_from() -> None:
    plain = json.loads(json.dumps(to_dict(FOUND)))
    assert plain["schema"] == SCHEMA == "spikewright.report/3"
    (run,) = plain["runs"]
    assert LengthResult.from_dict(run["result"]) == measured().lengths[0]
    assert [e["model"] for e in run["energies"]] == ["fp32", "memory-int8"]
    assert plain["verdict"] == run["verdict"]
    assert plain["data"]["name"] == "noise"


def test_csv_is_one_number_a_line() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(FOUND))))
    assert tuple(lines[0]) == COLUMNS
    numbers = {(x["table"], x["row"], x["quantity"]): x["value"] for x in lines}
    assert len(numbers) == len(lines)
    result = measured().lengths[0]
    assert float(numbers["total", "T=4", "accuracy"]) == result.accuracy()
    assert float(numbers["step", "2", "accuracy"]) == result.accuracy(2)
    energy = energy_of(result, MODELS[1])
    assert float(numbers["energy", "memory-int8", "snn_pj"]) == energy.total
    layers = [float(v) for k, v in numbers.items() if k[0] == "layer" and k[2] == "additions"]
    assert sum(layers) == pytest.approx(result.additions_per_sample, rel=1e-12)
    parts = [float(v) for k, v in numbers.items() if k[2] == "energy_pj (fp32)"]
    assert sum(parts) == pytest.approx(energy_of(result, MODELS[0]).total, rel=1e-12)


def test_csv_of_a_synchronous_run_has_work_by_step() -> None:
    lines = csv.DictReader(io.StringIO(to_csv(content(measured_of(measured("burst")), MODELS))))
    steps = [x for x in lines if (x["table"], x["quantity"]) == ("step", "additions")]
    by_step = [float(x["value"]) for x in steps]
    result = measured("burst").lengths[0]
    assert by_step == [n / 30 for n in result.additions_by_step]


def test_markdown_says_what_the_page_says(tmp_path: Path) -> None:
    text = markdown(FOUND)
    assert text == markdown(FOUND)
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads[0] == "## Verdict"
    assert heads[-1] == "## What was not counted"
    assert f"1. {to_dict(FOUND)['verdict'][0]}" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert any("memory-int8" in row for row in rows)
    both = markdown(content(read([write(tmp_path, "c.json", comparison())]), MODELS))
    assert "### All runs" in both
    assert "## What accuracy costs" in both


def test_markdown_of_hostile_names_is_only_text() -> None:
    found = measured_of(measured(), {"name": "<script>x</script> [a](b) |\n# c"})
    (line,) = (x for x in markdown(content(found, MODELS)).splitlines() if x.startswith("On 30"))
    assert line == r"On 30 inputs of \<script\>x\</script\> \[a\](b) \| \# c."


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_read_back_to_the_pixel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    picture = Picture(5, 7, channels, base64.b64encode(pixels.tobytes()).decode())
    stored = base64.b64decode(data_uri(picture).partition(",")[2])
    read_back = np.asarray(Image.open(io.BytesIO(stored)))
    assert (read_back.reshape(5, 7, channels) == pixels).all()


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Picture(2, 2, 1, "AAA="), "expected 2 x 2 pixels in 1 channels"),
        (Picture(1, 1, 2, "AAA="), "channels, 1 or 3"),
        (Picture(1, 1, 1, "<b>"), "expected base64"),
    ],
)
def test_pictures_that_are_none(picture: Picture, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        data_uri(picture)
