# SPDX-License-Identifier: Apache-2.0
"""Every tutorial runs as it stands, prints what its page shows, and is right in what it teaches."""

import difflib
import html
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from docs.making.tutorials import FOLDER, cells, markdown, printed, run

NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
NAMES = ("own_model", "compare_methods", "train_lossless", "cost", "own_neuron")


def words(text: str) -> list[str]:
    """Return the words of an output, numbers and rules left out."""
    return NUMBER.sub(" ", text).replace("─", " ").split()


def unlike(kept: list[str], now: list[str]) -> list[str]:
    """Return outputs that differ by more than another machine may make of them.

    Trained weights differ in their last digits from machine to machine, so numbers move and now
    and then a word with them ("never" for "below 1.2"); most of them may not.
    """
    found = []
    for number, (old, new) in enumerate(zip(kept, now, strict=True), start=1):
        same = difflib.SequenceMatcher(None, words(old), words(new), autojunk=False).ratio()
        pairs = list(zip(NUMBER.findall(old), NUMBER.findall(new), strict=False))
        figures = [(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs]
        near = sum(abs(a - b) <= 0.2 * max(abs(a), abs(b)) + 0.1 for a, b in figures)
        if same < 0.9 or near < 0.7 * len(figures):
            found.append(f"output {number}, page:\n{old}\nnow:\n{new}")
    return found


@pytest.fixture
def tidy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder to run in, on one thread; forget what a script put on the path."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)  # the networks are tiny: more threads are no quicker
    yield tmp_path
    torch.set_num_threads(threads)
    torch.random.set_rng_state(before)
    for name in [n for n in sys.modules if n.split(".")[0] == "my_spikes"]:
        del sys.modules[name]
    importlib.invalidate_caches()


def result_of(name: str, folder: Path) -> dict[str, Any]:
    """Run a tutorial, check what it prints against its page, return its variables."""
    script = FOLDER / f"{name}.py"
    now, given = run(script, folder)
    kept = printed(script)
    assert len(kept) == len(now), f"run: python docs/making/tutorials.py {name}"
    assert not (found := unlike(kept, now)), "\n\n".join(found)
    return given


@pytest.mark.slow
def test_own_model(tidy: Path) -> None:
    given = result_of("own_model", tidy)
    result, verification = given["result"], given["verification"]
    assert result.reference_accuracy > 0.97
    assert abs(result.accuracy - result.reference_accuracy) < 0.01
    assert len(result.at(8).correct) == 8  # an accuracy for each step
    assert verification.agrees
    assert torch.equal(given["again"](given["x_test"]), given["snn"](given["x_test"]))
    page = (tidy / "spikewright-tutorial" / "report.html").read_text(encoding="utf-8")
    plain = " ".join(html.unescape(page).replace("\xa0", " ").split())
    assert all(sentence.partition(":")[0] in plain for sentence in given["verdict"])


@pytest.mark.slow
def test_compare_methods(tidy: Path) -> None:
    given = result_of("compare_methods", tidy)
    rows = {(row.label, row.T): row for row in given["comparison"].rows()}
    ann = given["comparison"].ann.accuracy
    assert {label for label, _ in rows} == {
        "hard", "rueckauer", "burst", "tsc", "spikeconverter", "casc",
    }  # fmt: skip
    assert rows["rueckauer", 32].accuracy > rows["hard", 32].accuracy
    assert abs(rows["spikeconverter", 8].accuracy - ann) < 0.01
    assert rows["spikeconverter", 8].latency_ticks > rows["rueckauer", 8].latency_ticks == 8
    assert given["after"] > given["before"]
    assert (tidy / "spikewright-tutorial" / "comparison.html").is_file()


@pytest.mark.slow
def test_train_lossless(tidy: Path) -> None:
    given = result_of("train_lossless", tidy)
    length = given["result"].at(given["LEVELS"])
    assert length.agreement() == 1.0
    assert given["result"].accuracy == given["result"].reference_accuracy > 0.95
    assert float(given["difference"]) < 1e-9
    with torch.no_grad():
        trained = given["exact"](given["x"])
    assert torch.equal(given["snn"](given["x"]).argmax(1), trained.argmax(1))


@pytest.mark.slow
def test_cost(tidy: Path) -> None:
    given = result_of("cost", tidy)
    additions = [length.additions_per_sample for length in given["result"].lengths]
    assert additions == sorted(additions)
    assert len(given["energies"]) == 11
    assert all(e.ratio("quantised") > e.ratio("fp32") for e in given["energies"])
    assert given["mine"].title == "my chip, arithmetic only"


@pytest.mark.slow
def test_own_neuron(tidy: Path) -> None:
    given = result_of("own_neuron", tidy)
    assert given["train"] == [0, 1, 0, 1, 0, 1, 0, 1]
    assert type(given["neuron"]).__name__ == "type"
    assert given["neuron"].__module__ == "my_spikes.resting_if"
    assert given["snn"].neuron_name == given["again"].neuron_name == "resting-if"
    rows = {(row.label, row.T): row for row in given["comparison"].rows()}
    assert rows["resting", 64].accuracy > rows["no-room", 64].accuracy
    assert rows["resting", 64].spikes_per_neuron < 32  # every other step at most


def test_there_is_a_test_for_every_tutorial() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_holds_the_code_and_what_it_printed(name: str) -> None:
    script = FOLDER / f"{name}.py"
    page = markdown(script)
    assert page.startswith("# ")
    assert page.count("```python\n") == sum(not cell.is_text for cell in cells(script)) > 3
    for cell in cells(script):
        assert cell.body in page
    for output in printed(script):
        assert output in page


def test_another_text_is_noticed() -> None:
    kept = ["accuracy 99.3 % of 445 inputs at T=8"]
    assert not unlike(kept, ["accuracy 98.1 % of 445 inputs at T=8"])
    assert unlike(kept, ["accuracy 31.0 % of 14 inputs at T=8"])
    assert unlike(kept, ["agreement 99.3 % on 445 scans at T=8"])
