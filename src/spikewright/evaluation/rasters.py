# SPDX-License-Identifier: Apache-2.0
"""A few inputs looked at closely: what they are, what both networks answered, which neurons fired.

They run once more, tick by tick, on the reference simulator, so that a train is seen as it is sent.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from spikewright._vision import pillow_image
from spikewright.errors import ConfigError
from spikewright.graph.batch import batch_of, element_count
from spikewright.graph.ir import Inputs, as_inputs
from spikewright.network import LayeredTiming, SpikingNetwork
from spikewright.simulators import LayeredReference, decided, simulator
from spikewright.tasks.scene import Scene
from spikewright.tasks.stored import MOST, not_ours

__all__ = ["Example", "Picture", "Track", "look_at"]

SHOWN = 12
"""Neurons of a population whose spikes are kept."""

_SIDE = 96
"""Most pixels of a picture along a side."""

_SCENE = 320
"""Most pixels along a side of a picture with boxes in it."""


@dataclass(frozen=True)
class Picture:
    """An input as pixels.

    Attributes:
        height: Rows.
        width: Columns.
        channels: 1 (grey) or 3 (red, green, blue).
        data: In base64; the input's own lowest value is 0, its highest 255.
        form: What the data are: the bytes, "height width channel", or a JPEG file.
    """

    height: int
    width: int
    channels: int
    data: str
    form: Literal["bytes", "jpeg"] = "bytes"


@dataclass(frozen=True)
class Track:
    """What some neurons of a population sent.

    Attributes:
        name: The population.
        total: Values that it stands for.
        shown: Places of the neurons shown, evenly spread.
        spikes: (row in ``shown``, tick from 1, value) of every spike, ticks since the input began.
    """

    name: str
    total: int
    shown: tuple[int, ...]
    spikes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Example:
    """One input.

    Attributes:
        index: Its place in the data.
        target: Its class, if it is known.
        ann: The original network's decision, if it was run.
        decided: The spiking network's decision after each step of the read-out; empty, and the two
            above None, where outputs are no class scores.
        picture: The input, if it has the shape of an image.
        tracks: What its neurons sent.
        scene: The boxes in it, if the task finds such.
    """

    index: int
    target: int | None
    ann: int | None
    decided: tuple[int, ...]
    picture: Picture | None
    tracks: tuple[Track, ...]
    scene: Scene | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Example":
        """Rebuild what ``dataclasses.asdict`` wrote, also after it has been JSON.

        Raises:
            FileFormatError: If a field is missing or unknown.
        """
        try:
            picture = None if data["picture"] is None else Picture(**data["picture"])
            scene = None if data["scene"] is None else Scene.from_dict(data["scene"])
            tracks = tuple(
                Track(
                    name=t["name"],
                    total=t["total"],
                    shown=tuple(t["shown"]),
                    spikes=tuple((row, tick, value) for row, tick, value in t["spikes"]),
                )
                for t in data["tracks"]
            )
            if not data["decided"] and not data["target"] is data["ann"] is None:
                raise ValueError("decided is empty")
            whole = [data["index"], *data["decided"]]
            whole += [data[key] for key in ("target", "ann") if data[key] is not None]
            for track in tracks:
                whole += [track.total, *track.shown, *(n for spike in track.spikes for n in spike)]
            texts = [track.name for track in tracks]
            if picture is not None:
                whole += [picture.height, picture.width, picture.channels]
                texts.append(picture.data)
                if picture.form not in ("bytes", "jpeg"):
                    raise ValueError("a picture is of another form")
            if any(type(n) is not int or abs(n) >= MOST for n in whole):
                raise ValueError("a number is no whole number")
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("a name is no text")
            return cls(
                index=data["index"],
                target=data["target"],
                ann=data["ann"],
                decided=tuple(data["decided"]),
                picture=picture,
                tracks=tracks,
                scene=scene,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise not_ours(f"an example's field is missing or unknown ({error})") from error


def look_at(
    network: SpikingNetwork,
    x: Inputs,
    *,
    first: int = 0,
    target: Tensor | None = None,
    reference: Tensor | None = None,
    scenes: Sequence[Scene | None] = (),
    classes: bool = True,
) -> tuple[Example, ...]:
    """Run some inputs tick by tick and keep what is seen.

    Args:
        network: A converted network.
        x: Inputs, "batch *feature".
        first: Place of the first one in the data.
        target: Class numbers, "batch", if known.
        reference: The original network's class scores, if it was run and they are such.
        scenes: What was found in each of them, if the task finds what can be drawn.
        classes: Whether classes are decided from outputs that look like scores.
    """
    given, shown_input = network.check_input(x), as_inputs(x)[0]
    count_of = len(shown_input)
    ticks: list[list[Track]] = [[] for _ in range(count_of)]
    events: dict[str, list[list[tuple[int, int, int]]]] = {}
    shown = {name: _spread(_values(network, name)) for name in network.neurons()}
    timing = network.timing()
    start = (
        {p.site: p.start for p in timing.phases() if p.action == "fire"}
        if isinstance(timing, LayeredTiming)
        else {}
    )

    def watch(name: str, t: int, sent: Tensor) -> None:
        if name not in shown:
            return
        own = events.setdefault(name, [[] for _ in range(count_of)])
        picked = sent.flatten(1)[:, list(shown[name])]
        for i, row in picked.nonzero().tolist():
            own[i].append((row, start.get(name, 0) + t, int(picked[i, row])))

    def count(name: str, t: int, sent: Tensor) -> None:
        for step in range(sent.shape[0]):
            watch(name, t + step, sent[step])

    with torch.no_grad():
        if network.schedule.counting == "trains":  # its simulators count whole trains
            at = {n.name: batch_of(n.shape) for n in network.graph}
            LayeredReference(network)(given, lambda n, t, s: watch(n, t, at[n].first(s)))
            runs = simulator(network).over_time(given)
        else:
            runs = simulator(network, "reference").over_time(given, count)
        steps = [
            found.tolist()
            for outputs in runs
            if (found := decided(network.samples_first(outputs), count_of)) is not None and classes
        ]
    for name, own in events.items():
        for i, spikes in enumerate(own):
            total = _values(network, name)
            ticks[i].append(Track(name, total, shown[name], tuple(sorted(spikes))))
    order = {name: place for place, name in enumerate(network.graph.nodes)}
    drawn = scenes or [None] * count_of
    return tuple(
        Example(
            index=first + i,
            target=None if target is None else int(target[i]),
            ann=None if reference is None else int(reference[i].argmax()),
            decided=tuple(step[i] for step in steps),
            picture=picture_of(shown_input[i], scene=drawn[i] is not None),
            tracks=tuple(sorted(ticks[i], key=lambda track: order[track.name])),
            scene=drawn[i],
        )
        for i in range(count_of)
    )


def picture_of(x: Tensor, *, scene: bool = False) -> Picture | None:
    """Return an input "channel height width" as pixels; None if it has another form.

    Args:
        x: The input.
        scene: Whether boxes are drawn over it: it is then larger, and a JPEG file where Pillow is
            installed.
    """
    if x.ndim != 3 or x.shape[0] not in (1, 3) or min(x.shape[1:]) < 2:
        return None
    image = x.detach().cpu().double()
    if scene:
        image = _smaller(image)
    else:
        step = -(-max(x.shape[1:]) // _SIDE)
        image = image[:, ::step, ::step]
    low, high = image.min(), image.max()
    pixels = ((image - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8)
    rows = pixels.permute(1, 2, 0).contiguous().numpy()
    file = _jpeg(rows) if scene else None
    data = base64.b64encode(rows.tobytes() if file is None else file).decode()
    form: Literal["bytes", "jpeg"] = "bytes" if file is None else "jpeg"
    return Picture(image.shape[1], image.shape[2], image.shape[0], data, form)


def _smaller(image: Tensor) -> Tensor:
    """Bring the longer side down to what is kept, each pixel a mean of those it stands for."""
    share = _SCENE / max(image.shape[1:])
    if share >= 1:
        return image
    size = [max(1, round(share * side)) for side in image.shape[1:]]
    return F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]


def _jpeg(rows: Any) -> bytes | None:  # noqa: ANN401 - an array
    """Return pixels as a JPEG file; None without Pillow."""
    try:
        pillow = pillow_image()
    except ConfigError:
        return None
    file = io.BytesIO()
    pillow.fromarray(rows.squeeze(-1) if rows.shape[-1] == 1 else rows).save(
        file, "JPEG", quality=85, optimize=True
    )
    return file.getvalue()


def _values(network: SpikingNetwork, name: str) -> int:
    return element_count(network.graph[name].shape)


def _spread(size: int) -> tuple[int, ...]:
    count = min(SHOWN, size)
    return tuple((2 * i + 1) * size // (2 * count) for i in range(count))
