# SPDX-License-Identifier: Apache-2.0
"""The kinds of files that the fuzzer edits: valid ones, how they are changed, who opens them."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph.batch import sizes
from spikewright.graph.signatures import operators
from spikewright.models import from_graph_json, load_state
from spikewright.network import SpikingNetwork, files
from tests.fuzz import boxes, others
from tests.fuzz.edits import edit_json, edit_tensors
from tests.property.random_functions import TokenNet


@dataclass(frozen=True)
class Target:
    """One kind of file.

    Attributes:
        name: What it is called.
        prepare: Makes valid files in a folder.
        edit: Makes an edited one beside them; returns its path and what was done.
        open: Reads it and does what it is for.
        share: How often it is edited, more often what takes less time.
    """

    name: str
    prepare: Callable[[Path], None]
    edit: Callable[[Path, random.Random], tuple[Path, str]]
    open: Callable[[Path], object]
    share: int


class Maps(nn.Module):
    """Convolutions, a shortcut, a concatenation, pools, a softmax behind it all."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.b, self.c = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 1)
        self.d, self.head = nn.Conv2d(8, 4, 3, stride=2, dilation=2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.a((x - 0.4) / 0.3)))
        y = F.relu(self.b(x) + x)
        z = F.max_pool2d(torch.cat([y, F.relu6(self.c(y))], 1), 2, 1)
        z = F.relu(self.d(F.avg_pool2d(z, 2, 1)))
        return torch.softmax(self.head(F.adaptive_avg_pool2d(z, 1).flatten(1)), 1)


class Rows(nn.Module):
    """Rows: transposed convolution, upsampling, moved and chosen elements, sorted scores."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.up = nn.Conv1d(2, 6, 3), nn.ConvTranspose1d(6, 4, 2, stride=2)
        self.c, self.head = nn.Conv1d(4, 5, 3), nn.Linear(8, 5)
        self.register_buffer("order", torch.tensor([2, 0, 3, 1]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.a(x))
        x = F.relu(self.up(x)).index_select(1, self.order)
        b, c, w = x.shape
        x = x.reshape(b, 2, c // 2, w).transpose(1, 2).reshape(b, c, w)
        x = F.relu(self.c(F.pad(F.interpolate(x, scale_factor=2.0), (1, 1))))
        first, second = x.split([2, 3], 1)
        x = torch.cat([first.mean(2), second.amax(2), first[:, :, 3], first[:, :1, 4]], 1)
        scores = self.head(x)
        order = scores.argsort(1, descending=True)
        return scores.log_softmax(1), scores.gather(1, order[:, :2])


NETWORKS = 10


def _networks() -> Sequence[SpikingNetwork]:
    torch.manual_seed(0)
    maps, rows = Maps().eval(), Rows().eval()
    x, w = torch.rand(8, 2, 9, 9), torch.rand(8, 2, 9)
    tokens, y = TokenNet(("gate", "attention", "residual", "softmax"), 0).build()
    plain = nn.Sequential(nn.Flatten(), nn.Linear(18, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    return (
        layered := sw.convert(maps, calibration=[x], T=4),
        layered.to_integer(),
        sw.convert(rows, "burst", calibration=[w], T=6, input="encoded"),
        sw.convert(maps, "snn-calibration", calibration=[x], T=6),
        sw.convert(rows, "spikeconverter", calibration=[w], T=3, k=1.5),
        sw.convert(rows, "tsc", calibration=[w], T=5),
        sw.convert(plain, "casc", calibration=[w], T=4),
        sw.convert(plain, "stbp", calibration=[w], T=4),
        sw.convert(plain, "spike-norm", calibration=[w], T=8),
        sw.convert(tokens.float(), calibration=[y.float()], T=4),
    )


def _prepare_networks(folder: Path) -> None:
    folder.mkdir()
    for i, network in enumerate(_networks()):
        network.save(folder / f"{i}.safetensors")


def _parts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {n: file.get_tensor(n) for n in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _edit_network(folder: Path, draw: random.Random) -> tuple[Path, str]:
    path = folder / f"{draw.randrange(NETWORKS)}.safetensors"
    tensors, metadata = _parts(path)
    data = json.loads(metadata["network"])
    places = [n["name"] for n in data["graph"]["nodes"]]
    words = [*places, *tensors, *sorted(operators()), *operators_by_weight(data)]
    done = [path.stem]
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        try:
            if draw.random() < 0.25:
                done.append(edit_tensors(tensors, draw))
            else:
                part = _part(data, draw)
                done.append(edit_json(part, draw, words))
        except (KeyError, IndexError, TypeError, AttributeError, RuntimeError):
            break  # an earlier edit took away what this one was to change
    text = json.dumps(data)
    digest = files.digest(tensors, text)
    new = folder / "edited.safetensors"
    save_file(tensors, new, {**metadata, "network": text, "digest": digest})
    return new, "; ".join(done)


def _part(data: Any, draw: random.Random) -> Any:
    """Return the part of a description that is changed: mostly arguments of one node."""
    node, site = draw.choice(data["graph"]["nodes"]), draw.choice(data["sites"])
    inner = [node["args"], node["args"], node["kwargs"], node["shape"] or node]
    part = draw.choice([data, data["graph"], data["code"], site, node, node, *inner, *inner])
    return part or node


def operators_by_weight(data: Any) -> list[str]:
    """Return the operators and argument names of a network once more, so that they come often."""
    return [n["op"] for n in data["graph"]["nodes"]] + ["cap", "alpha", "dim", "levels"]


def _open_network(path: Path) -> None:
    network = sw.load(path)
    network.summary()
    if network.code.steps <= 1000:
        xs = tuple(torch.rand(sizes(shape, 2)) for shape in network.graph.input_shapes)
        x = xs[0] if len(xs) == 1 else xs
        sw.simulate(network, x)
        sw.simulate(network, x, simulator="reference")


TARGETS: tuple[Target, ...] = (
    Target("network", _prepare_networks, _edit_network, _open_network, 24),
    Target("checkpoint", others.make_checkpoint, others.edit_checkpoint, others.open_checkpoint, 1),
    Target("graph", others.make_graph, others.edit_graph, from_graph_json, 4),
    Target("weights", others.make_weights, others.any_bytes("w.pt"), load_state, 4),
    Target("data", others.make_data, others.edit_data, others.open_data, 4),
    Target("boxes", boxes.make_boxes, boxes.edit_boxes, boxes.open_boxes, 4),
    Target("results", others.make_results, others.edit_results, others.open_results, 1),
)
"""Every kind of file that is edited."""
