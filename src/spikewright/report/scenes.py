# SPDX-License-Identifier: Apache-2.0
"""Boxes over the picture they were found in, after a few steps: as SVG, and in words."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikewright.evaluation.rasters import Example, Picture
from spikewright.report.inline import Drawing
from spikewright.report.pictures import data_uri
from spikewright.tasks.scene import Box, Scene
from spikewright.text import counted, shorten

__all__ = ["SceneView", "found_again", "scene_lines", "scene_text", "scene_view"]

_WIDTH = 320.0
"""Units of a drawing along the longer side, of which letters are 13 high."""

_LETTER, _LINE, _GAP = 13.0, 17.0, 3.0
_NAME = 14
_SAME = 0.5
"""IoU from which two boxes of a class are the same thing."""

_BGR = "0 0 1 0 0  0 1 0 0 0  1 0 0 0 0  0 0 0 1 0"


@dataclass(frozen=True)
class SceneView:
    """A scene as a page shows it.

    Attributes:
        panels: The picture with its boxes, once for each step.
        lines: Whose boxes they are, and the boxes in words.
    """

    panels: tuple[Drawing, ...]
    lines: tuple[tuple[str, str], ...]


def scene_view(example: Example, *, name: str, blue_first: bool = False) -> SceneView | None:
    """Draw the boxes of an input, a picture for each step; None without picture or boxes.

    Args:
        example: The input.
        name: In front of every id.
        blue_first: Whether the channels of the input are known to be blue, green, red; else the
            scene says it.

    Raises:
        FileFormatError: If the picture is damaged.
    """
    scene, picture = example.scene, example.picture
    if scene is None or picture is None:
        return None
    scale = _WIDTH / max(picture.width, picture.height)
    wide, high = round(picture.width * scale, 1), round(picture.height * scale, 1)
    last, panels = scene.steps[-1][0], []
    for i, (step, boxes) in enumerate(scene.steps):
        title = f"Input {example.index + 1} after step {step}{', the last' if step == last else ''}"
        finding = _finding(scene, boxes)
        own = f"{name}-{step}"
        body = [
            f'<svg viewBox="0 0 {wide:g} {high:g}" role="img" aria-labelledby="{own}-title" '
            f'aria-describedby="{own}-finding">'
            f'<title id="{own}-title">{html.escape(title)}</title>'
            f'<desc id="{own}-finding">{html.escape(f"{finding} {boxes_text(boxes)}")}</desc>',
            _pixels(picture, wide, high, name, blue_first=blue_first or scene.blue_first)
            if i == 0
            else f'<use href="#{name}-pixels"/>',
            *(_frame(box, "truth", wide, high) for box in scene.truth or ()),
            *(_frame(box, "ann", wide, high) for box in scene.ann or ()),
            *(_frame(box, "snn", wide, high) for box in boxes),
            *_labels(boxes, wide, high),
            "</svg>",
        ]
        panels.append(Drawing(title, finding, "".join(body)))
    return SceneView(tuple(panels), scene_lines(scene))


def scene_lines(scene: Scene) -> tuple[tuple[str, str], ...]:
    """Return whose boxes there are, and the boxes in words."""
    lines = [("in the picture", scene.truth), ("ANN", scene.ann)]
    lines += [(f"after step {step}", boxes) for step, boxes in scene.steps]
    return tuple((who, boxes_text(boxes)) for who, boxes in lines if boxes is not None)


def scene_text(scene: Scene) -> str:
    """Say how many boxes both networks found, and when.

    Example:
        >>> cat, dog = Box("cat", 0.1, 0.1, 0.5, 0.5, 0.9), Box("dog", 0.5, 0.5, 0.8, 0.8, 0.4)
        >>> print(scene_text(Scene(0.3, None, (cat, dog), ((1, ()), (2, (cat,))))))
        ANN: 2 boxes with a score of at least 0.3. Spiking network: 0 boxes after step 1, 1 after
        step 2 (0 and 1 of them the ANN's).
    """
    marked = "" if scene.truth is None else f"{counted(len(scene.truth), 'object')} marked. "
    sure = f"with a score of at least {scene.least:g}"
    (first, boxes), *rest = scene.steps
    found = ", ".join(
        [
            f"{counted(len(boxes), 'box', 'boxes')} after step {first}",
            *(f"{len(each)} after step {step}" for step, each in rest),
        ]
    )
    if scene.ann is None:
        return f"{marked}Spiking network, {sure}: {found}."
    again = [str(found_again(each, scene.ann)) for _, each in scene.steps]
    same = again[0] if len(again) == 1 else f"{', '.join(again[:-1])} and {again[-1]}"
    return (
        f"{marked}ANN: {counted(len(scene.ann), 'box', 'boxes')} {sure}. Spiking network: {found} "
        f"({same} of them the ANN's)."
    )


def found_again(boxes: Sequence[Box], wanted: Sequence[Box]) -> int:
    """Return how many boxes are others' too: same class, IoU of at least .5, each counted once.

    Example:
        >>> cat = Box("cat", 0.0, 0.0, 0.5, 0.5, 0.9)
        >>> found_again([cat, cat], [cat]), found_again([cat], [Box("dog", 0.0, 0.0, 0.5, 0.5)])
        (1, 0)
    """
    left = list(wanted)
    for box in boxes:
        same = [w for w in left if w.name == box.name and box.overlap(w) >= _SAME]
        if same:
            left.remove(max(same, key=box.overlap))
    return len(wanted) - len(left)


def boxes_text(boxes: Sequence[Box]) -> str:
    """Say where boxes are, in per cent of the picture's sides.

    Example:
        >>> boxes_text([Box("cat", 0.1, 0.2, 0.5, 0.55, 0.9), Box("dog", 0.0, 0.0, 1.0, 1.0)])
        'cat 0.90 (across 10 to 50, down 20 to 55); dog (across 0 to 100, down 0 to 100).'
    """
    return "; ".join(map(_box_text, boxes)) + "." if boxes else "No box."


def _box_text(box: Box) -> str:
    left, top, right, bottom = (round(100 * n) for n in (box.left, box.top, box.right, box.bottom))
    return f"{_named(box)} (across {left} to {right}, down {top} to {bottom})"


def _named(box: Box) -> str:
    return box.name if box.score is None else f"{box.name} {box.score:.2f}"


def _finding(scene: Scene, boxes: Sequence[Box]) -> str:
    text = counted(len(boxes), "box", "boxes") if boxes else "No box"
    if scene.ann is None:
        return f"{text}."
    if not boxes or not scene.ann:
        return f"{text}; the ANN has {len(scene.ann)}."
    return f"{text}; {found_again(boxes, scene.ann)} of the ANN's {len(scene.ann)} are among them."


def _pixels(picture: Picture, wide: float, high: float, name: str, *, blue_first: bool) -> str:
    """Return the picture, which the other panels use again."""
    swap = ""
    if blue_first and picture.channels == 3:
        swap = f' filter="url(#{name}-swap)"'
    colours = (
        f'<filter id="{name}-swap" color-interpolation-filters="sRGB" x="0" y="0" width="1" '
        f'height="1"><feColorMatrix values="{_BGR}"/></filter>'
        if swap
        else ""
    )
    return (
        f'{colours}<image id="{name}-pixels" href="{data_uri(picture)}" width="{wide:g}" '
        f'height="{high:g}" preserveAspectRatio="none"{swap}/>'
    )


def _frame(box: Box, whose: str, wide: float, high: float) -> str:
    """Return a box, with a ground around its line that tells it from the picture."""
    place = (
        f'x="{box.left * wide:.1f}" y="{box.top * high:.1f}" '
        f'width="{(box.right - box.left) * wide:.1f}" '
        f'height="{(box.bottom - box.top) * high:.1f}"'
    )
    return f'<rect class="ground {whose}" {place}/><rect class="box {whose}" {place}/>'


def _labels(boxes: Sequence[Box], wide: float, high: float) -> Iterator[str]:
    """Yield names and scores, the best first, where one does not cover another."""
    taken = list[tuple[float, float, float]]()
    for box in boxes:
        text = _named(Box(shorten(box.name, _NAME), 0, 0, 1, 1, box.score))
        long = 0.56 * _LETTER * len(text) + 2 * _GAP
        x = min(max(box.left * wide, 0.0), max(wide - long, 0.0))
        top, bottom = box.top * high, box.bottom * high
        for y in (top - _LINE, top, bottom, bottom - _LINE, top + _LINE):
            free = all(x + long <= a or b <= x or abs(y - other) >= _LINE for a, b, other in taken)
            if free and 0 <= y <= high - _LINE:
                taken.append((x, x + long, y))
                yield (
                    f'<rect class="label" x="{x:.1f}" y="{y:.1f}" width="{long:.1f}" '
                    f'height="{_LINE:g}"/><text x="{x + _GAP:.1f}" y="{y + _LETTER:.1f}" '
                    f'font-size="{_LETTER:g}">{html.escape(text)}</text>'
                )
                break
