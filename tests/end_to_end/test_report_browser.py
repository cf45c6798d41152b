# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: nothing asked of the outside, nothing empty, by day and by night."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikewright.energy.energy_model import choose_models
from spikewright.report.content import content
from spikewright.report.page import page as html
from spikewright.report.read import measured_of, read
from tests.unit.report.results import comparison, data, write
from tests.unit.tasks.detector import measured as detected

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome")
PAGES = ("one", "files", "comparison")

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (text) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (c) => {
    const [r, g, b] = [...c].slice(0, 3).map((v) => v / 255).map(
      (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const found = getComputedStyle(e).backgroundColor;
      if (rgb(found)[3] === 255) return rgb(found);
    }
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest("title, desc")) continue;
    const style = getComputedStyle(e);
    const text = e.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(rgb(text)), light(behind(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.tagName, e.textContent.slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""

DRAWN = """(svg) => {
  const box = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll("path, use")].map((p) => p.getBoundingClientRect());
  return {
    width: box.width, height: box.height,
    marks: marks.filter((m) => m.width + m.height > 0).length,
    texts: [...svg.querySelectorAll("text")].filter((t) => t.textContent.trim()).length,
    smallest: Math.min(...[...svg.querySelectorAll("text")].map(
      (t) => parseFloat(getComputedStyle(t).fontSize) * box.width / svg.viewBox.baseVal.width)),
  };
}"""

OUTSIDE = """() => {
  const box = (e) => e.getBoundingClientRect();
  return [...document.querySelectorAll("svg text")].filter((t) => {
    const own = box(t), all = box(t.ownerSVGElement);
    return own.left < all.left - 2 || own.right > all.right + 2 || own.bottom > all.bottom + 2;
  }).map((t) => t.textContent);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on the path")
    with playwright.sync_playwright() as api:
        found = api.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of one evaluation, of two, and of a comparison."""
    folder, pages = tmp_path_factory.mktemp("report"), {}
    one = write(folder, "one.json", data())
    sources = {
        "one": [one],
        "files": [one, write(folder, "other.json", data("burst"))],
        "comparison": [write(folder, "compared.json", comparison())],
    }
    for name, paths in sources.items():
        pages[name] = folder / f"{name}.html"
        pages[name].write_text(html(content(read(paths), choose_models())), encoding="utf-8")
    pages["scene"] = folder / "scene.html"
    found = measured_of(detected(), {"preprocess": {"channels": "BGR"}})
    pages["scene"].write_text(html(content(found, choose_models())), encoding="utf-8")
    return pages


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Any]:
    """Open a page in a window of its own; at the end nothing may have been asked or gone wrong."""
    windows, said, asked = [], [], []

    def opened(name: str, *, width: int = 1280, scheme: str = "light") -> Any:
        viewport = {"width": width, "height": 900}
        window = browser.new_context(
            viewport=viewport, color_scheme=scheme, reduced_motion="reduce"
        )
        windows.append(window)
        shown = window.new_page()
        shown.on("console", lambda message: said.append((message.type, message.text)))
        shown.on("pageerror", lambda error: said.append(("error", str(error))))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(files[name].as_uri())
        shown.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        return shown

    yield opened
    for window in windows:
        window.close()
    assert said == []
    pages = {path.as_uri() for path in files.values()}
    assert {url for url in asked if not url.startswith("data:")} <= pages
    assert asked


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 390])
def test_every_figure_is_there_and_legible(show: Any, name: str, width: int) -> None:
    page = show(name, width=width)
    figures = page.query_selector_all("figure svg")
    assert len(figures) == {"one": 5, "files": 5 + 4 + 4, "comparison": 5 + 8}[name]
    for figure in figures:
        drawn = page.evaluate(DRAWN, figure)
        assert drawn["width"] > 250
        assert drawn["height"] > 100
        assert drawn["marks"] > 5
        assert drawn["texts"] >= 3
        assert drawn["smallest"] >= 8.0
    assert page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_only_tables_scroll_sideways(show: Any, name: str, width: int) -> None:
    page = show(name, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.scroll')].some((d) => d.scrollWidth > d.clientWidth)"
    assert page.evaluate(wide) or width >= 768


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_by_day_and_by_night(show: Any, name: str, scheme: str) -> None:
    least = show(name, scheme=scheme).evaluate(CONTRAST)
    assert least[0] >= 4.5, least


@pytest.mark.parametrize(("width", "columns"), [(1280, 4), (768, 2), (390, 1)])
def test_boxes_can_be_seen_and_their_names_read(show: Any, width: int, columns: int) -> None:
    page = show("scene", width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    panels = page.query_selector_all(".scene svg")
    assert len(panels) == 8
    boxes = [panel.bounding_box() for panel in panels[:4]]
    assert sum(abs(box["y"] - boxes[0]["y"]) < 1 for box in boxes) == columns
    for panel in panels:
        drawn = page.evaluate(DRAWN, panel)
        assert drawn["width"] > 220
        assert drawn["texts"] >= 1
        assert drawn["smallest"] >= 9.0
        frames = page.evaluate(
            "(s) => [...s.querySelectorAll('.box.snn')].map((b) => getComputedStyle(b).stroke)",
            panel,
        )
        assert frames
        assert "none" not in frames
    assert page.evaluate(OUTSIDE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_names_of_boxes_stand_out(show: Any, scheme: str) -> None:
    least = show("scene", scheme=scheme).evaluate(CONTRAST)
    assert least[0] >= 4.5, least


def test_the_night_has_colours_of_its_own_also_in_figures(show: Any) -> None:
    look = """() => {
      const style = (where) => getComputedStyle(document.querySelector(where));
      const curve = style("figure svg [id*=line2d] path[style*=series]").stroke;
      const body = style("body");
      return [body.backgroundColor, body.color, style("figure svg text").fill, curve];
    }"""
    day, night = (show("one", scheme=scheme).evaluate(look) for scheme in ("light", "dark"))
    assert all(a != b for a, b in zip(day, night, strict=True))


def test_by_keyboard(show: Any) -> None:
    page = show("files", width=390)
    focus = "document.activeElement.outerHTML.slice(0, 60)"
    page.keyboard.press("Tab")
    assert 'class="skip"' in page.evaluate(focus)
    box = page.evaluate("document.activeElement.getBoundingClientRect().toJSON()")
    assert box["left"] >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    page.keyboard.press("Tab")
    assert 'class="scroll"' in page.evaluate(focus)  # past the list of contents
    page.keyboard.press("ArrowRight")
    for _ in range(100):  # it glides
        page.wait_for_timeout(20)
        if moved := page.evaluate("document.activeElement.scrollLeft") > 0:
            break
    assert moved
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))
    assert "SUMMARY" in seen


def test_what_a_screen_reader_is_told(show: Any) -> None:
    page = show("one")
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("heading", level=1).inner_text().startswith("Sequential as a spiking")
    assert page.get_by_role("heading", level=2).count() == 8
    assert page.get_by_role("img", name="Accuracy over steps", exact=True).count() == 1
    assert page.get_by_role("img", name="Input 1 as the network was given it").count() == 1
    assert page.get_by_role("rowheader").count() > 10
    for title in ("Energy for one input", "Work of every layer"):
        assert page.get_by_role("table", name=title).count() == 1
        assert page.get_by_role("region", name=title).count() == 1


def test_it_can_be_printed_with_what_is_folded(show: Any, tmp_path: Path) -> None:
    page = show("files", scheme="dark")
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = false; })")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = page.query_selector("#layers details:not([open]) table")
    assert folded.bounding_box()["height"] > 100
    assert page.pdf(path=tmp_path / "page.pdf", format="A4").startswith(b"%PDF")
