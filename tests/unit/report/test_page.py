# SPDX-License-Identifier: Apache-2.0
"""The page as text: the same every time, closed to the outside, safe from hostile names."""

import dataclasses
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise

import matplotlib
import pytest

from spikewright.energy.energy_model import choose_models
from spikewright.energy.verdict import verdict
from spikewright.errors import ConfigError
from spikewright.report.content import content, not_counted
from spikewright.report.page import page
from spikewright.report.read import Measured, Run, measured_of
from tests.unit.report.results import data, measured

MODELS = choose_models(["int8", "loihi"])
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>$\\frac{$&amp;"


def found(name: str = "noise") -> Measured:
    return measured_of(measured(), {**data()["data"], "name": name})


class Tags(HTMLParser):
    """Collects start tags with their attributes, and ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_same_input_gives_the_same_page_and_nothing_stays_behind() -> None:
    before = dict(matplotlib.rcParams)
    assert page(content(found(), MODELS)) == page(content(found(), MODELS))
    assert dict(matplotlib.rcParams) == before


def test_sections_in_order_what_was_not_counted_last() -> None:
    text = page(content(found(), MODELS))
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert heads == [
        "Verdict",
        "Accuracy over steps",
        "Energy by model",
        "Layer by layer",
        "Pipeline",
        "Single inputs",
        "Provenance",
        "What was not counted",
    ]
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_the_verdict_is_that_of_the_measures() -> None:
    measurement = found()
    contents = content(measurement, MODELS)
    (run,) = contents.runs
    said = verdict(run.run.result, measurement.ann_accuracy, run.energies)
    assert contents.verdict == said
    text = page(contents)
    listed = re.findall(r"<li>(.*?)</li>", text.partition('"verdict">')[2])
    assert [text.replace("\u00a0", " ") for text in listed[:3]] == list(said)


def test_every_figure_says_what_it_is_and_ids_are_there_once() -> None:
    tags = Tags(page(content(found(), MODELS)))
    pictures = tags.named("svg")
    assert len(pictures) == len(tags.named("figure")) == 5  # steps, ratios, pipeline, two rasters
    ids = [a["id"] for _, a in tags.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for picture in pictures:
        assert picture["role"] == "img"
        assert {picture["aria-labelledby"], picture["aria-describedby"]} <= set(ids)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page(content(found(), MODELS))))
    assert used <= set(ids)


def test_nothing_leads_out_of_the_page() -> None:
    text = page(content(found(), MODELS))
    tags = Tags(text)
    assert "http" not in text.replace("http-equiv", "")
    assert not tags.named("script")
    assert "default-src 'none'" in text
    for _, attributes in tags.tags:
        for name in ("src", "href"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:"))


def test_pictures_have_words() -> None:
    pictures = Tags(page(content(found(), MODELS))).named("img")
    assert len(pictures) == 2
    for picture in pictures:
        assert "as the network was given it. Class" in (picture["alt"] or "")
        assert (picture["src"] or "").startswith("data:image/png;base64,")


def test_tables_have_captions_and_scopes() -> None:
    tags = Tags(page(content(found(), MODELS)))
    assert len(tags.named("table")) == len(tags.named("caption")) == 4
    assert {cell.get("scope") for cell in tags.named("th")} == {"col", "row"}
    assert all(box["tabindex"] == "0" for box in tags.named("div") if box.get("class") == "scroll")


def test_hostile_names_are_only_shown() -> None:
    clean = found()
    run = clean.runs[0]
    layers = tuple(dataclasses.replace(x, name=x.name + HOSTILE) for x in run.result.layers)
    tracks = tuple(dataclasses.replace(t, name=HOSTILE + t.name) for t in run.examples[0].tracks)
    hostile = dataclasses.replace(
        clean,
        title=HOSTILE,
        runs=(
            Run(
                f"_{HOSTILE}",
                HOSTILE,
                dataclasses.replace(run.result, layers=layers),
                (dataclasses.replace(run.examples[0], tracks=tracks), run.examples[1]),
            ),
        ),
        provenance={HOSTILE: {HOSTILE: {HOSTILE: HOSTILE}}},
        data={"name": HOSTILE},
    )
    models = tuple(dataclasses.replace(m, title=HOSTILE, name=HOSTILE + m.name) for m in MODELS)
    plain, tags = Tags(page(content(clean, MODELS))), Tags(page(content(hostile, models)))
    assert not tags.named("script")
    assert len(tags.named("img")) == len(plain.named("img"))
    assert not [a for _, a in tags.tags if any(name.startswith("on") for name in a)]


def test_letters_that_matplotlib_does_not_know() -> None:
    clean = found()
    run = dataclasses.replace(clean.runs[0], label="変換 T=4", line="変換 T=4")
    assert ">変換 T=4</text>" in page(content(dataclasses.replace(clean, runs=(run,)), MODELS))


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_an_extra_it_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"{missing}, which is not.*'spikewright\[report\]'"):
        page(content(found(), MODELS))


def test_without_models_or_counts_there_is_no_report() -> None:
    with pytest.raises(ConfigError, match="expected at least one energy model"):
        content(found(), [])
    run = found().runs[0]
    silent = dataclasses.replace(run, result=dataclasses.replace(run.result, layers=()))
    with pytest.raises(ConfigError, match="expected a result with its work counted"):
        content(dataclasses.replace(found(), runs=(silent,)), MODELS)


@pytest.mark.parametrize(
    ("method", "words"),
    [("burst", "All populations work in every tick"), ("casc", "of them asleep")],
)
def test_other_schedules_have_pipelines_and_rasters(method: str, words: str) -> None:
    text = page(content(measured_of(measured(method)), MODELS))
    assert words in text
    assert len(Tags(text).named("figure")) == 5
    assert len(text) < 200_000


def test_a_network_that_settles_is_decided_with_its_last_spike() -> None:
    result = measured("casc").lengths[0]
    text = page(content(measured_of(measured("casc")), MODELS)).replace("\u00a0", " ")
    assert f"<strong>{result.most_ticks} ticks</strong>" in text
    assert f"<strong>{result.mean_ticks:.1f} ticks</strong>" in text
    assert f"after {result.mean_ticks:.1f} ticks on average and {result.most_ticks} at" in text


def test_several_lengths_are_one_network_not_rivals() -> None:
    short, long = measured(T=2).lengths[0], measured(T=4).lengths[0]
    both = measured_of(dataclasses.replace(measured(T=4), lengths=(short, long)))
    text = page(content(both, MODELS))
    contents = content(both, MODELS)
    assert contents.main.run.label == "spikeconverter T=4"
    assert contents.verdict == contents.main.verdict
    assert "<h3>spikeconverter T=4 in numbers</h3>" in text
    assert "<h3>All runs</h3>" in text
    assert "What accuracy costs" not in text
    summaries = re.findall(r"<summary>(spikeconverter T=.)</summary>", text)
    assert summaries == ["spikeconverter T=4", "spikeconverter T=2"] * 3


def test_an_interrupted_measurement_says_so() -> None:
    text = page(content(dataclasses.replace(found(), interrupted=True), MODELS))
    assert "only what was finished is shown" in text
    assert "only what was finished is shown" not in page(content(found(), MODELS))


def test_what_is_left_out_names_every_model() -> None:
    texts = not_counted(MODELS)
    assert [text.partition(":")[0] for text in texts[-2:]] == [
        "45 nm, arithmetic only, 8-bit weights (int8)",
        "Loihi",
    ]
