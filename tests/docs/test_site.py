# SPDX-License-Identifier: Apache-2.0
"""The pages of the site: all are in the navigation, none needs a network or names a machine."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import spikewright as sw
from docs.making.drawings import DRAWINGS, PICTURES, draw
from docs.making.tutorials import FOLDER, on_page_markdown

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=[\"']?(https?:)?//")


def pages(entry: Any) -> set[str]:
    """Return every page of a navigation."""
    if isinstance(entry, str):
        return {entry}
    return set().union(*map(pages, entry.values() if isinstance(entry, dict) else entry))


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\b[^\n]*\n(.*?)```", text, re.DOTALL)


def test_every_page_is_in_the_navigation() -> None:
    yaml = pytest.importorskip("yaml")  # comes with the extra docs
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    made = {f"tutorials/{path.stem}.md" for path in FOLDER.glob("*.py")}
    assert pages(nav) == there | made


def test_no_page_names_a_place_on_a_machine() -> None:
    place = re.compile(r"(?<![\w./])/(?:home|root|tmp|usr|var|opt|work|mnt|Users)/|[A-Z]:\\")
    for path in (*DOCS.rglob("*"), ROOT / "README.md", ROOT / "mkdocs.yml"):
        if path.suffix in {".md", ".py", ".txt", ".svg", ".yml", ".toml"}:
            assert not place.search(path.read_text(encoding="utf-8")), path


def test_links_to_scripts_lead_to_their_pages() -> None:
    class Page:
        meta: dict[str, list[str]] = {}  # noqa: RUF012

    text = "[a](tutorials/cost.py) [b](../tutorials/own_model.py#convert) [c](cost.py) [d](x.svg)"
    found = on_page_markdown(text, page=Page())
    assert found == (
        "[a](tutorials/cost.md) [b](../tutorials/own_model.md#convert) [c](cost.md) [d](x.svg)"
    )


@pytest.mark.slow
def test_the_site_is_built_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    built = list(tmp_path.rglob("*.html"))
    assert len(built) > 20
    for page in built:
        assert not FETCHED.search(page.read_text(encoding="utf-8")), page
    assert not (tmp_path / "making").exists()
    assert (tmp_path / "tutorials" / "own_model.py").is_file()  # to download
    report = (tmp_path / "tutorials" / "own_neuron.html").read_text(encoding="utf-8")
    assert "RestingIF" in report  # the package's files are on the page


def test_the_drawings_are_what_the_code_draws(tmp_path: Path) -> None:
    draw(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(DRAWINGS)
    for path in tmp_path.iterdir():
        kept = (PICTURES / path.name).read_text(encoding="utf-8")
        assert path.read_text(encoding="utf-8") == kept, "run: python docs/making/drawings.py"


def test_the_report_picture_is_small() -> None:
    picture = (PICTURES / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000


def test_the_code_of_the_codes_page_prints_what_stands_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,), (shown,) = blocks("codes.md", "python"), blocks("codes.md", "text")
    exec(compile(code, "codes.md", "exec"), {})
    out = capsys.readouterr().out
    assert [line.rstrip() for line in out.splitlines()] == shown.splitlines()


def test_the_code_of_the_front_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    x = torch.rand(32, 4)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    data = [(x, torch.arange(32) % 3)]
    (code,) = blocks("index.md", "python")
    given = {"model": model, "loader": data, "test_loader": data, "x": x}
    exec(compile(code, "index.md", "exec"), given)
    assert "agree" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


def test_spikingjelly_and_ours_compute_the_same() -> None:
    """The two sides of the migration page, on one network; the largest value may be a tie."""
    if importlib.util.find_spec("spikingjelly") is None:
        pytest.skip('spikingjelly is not installed: pip install "spikewright[peers]"')
    theirs, ours = blocks("migration.md", "python")[:2]
    x = torch.rand(64, 6)
    model = nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4)
    )
    given = {"model": model.eval(), "x": x, "loader": [(x, torch.zeros(64))]}
    one, other = dict(given), dict(given)
    exec(compile(theirs, "theirs.py", "exec"), one)
    exec(compile(ours, "ours.py", "exec"), other)
    assert isinstance(other["snn"], sw.SpikingNetwork)
    equal = (one["out"] - other["out"]).abs().amax(1) < 1e-5  # type: ignore[operator]
    assert int(equal.sum()) >= 62


def test_methods_and_options_that_the_migration_page_names_exist() -> None:
    from spikewright.methods import configure

    for method, options in (
        ("rueckauer", {"scale": sw.Max(), "per_channel": True, "v_init": 0.5, "reset": "hard"}),
        ("rueckauer", {"scale": sw.Percentile(99.9, nonzero=True), "input": "poisson"}),
        ("rueckauer", {"pool": "lateral-inhibition"}),
        ("rueckauer", {"pool": "accumulated-count"}),
        ("rmp", {"threshold_factor": 0.8}),
        ("burst", {"gamma": 5}),
    ):
        assert configure(method, **options).name == method
