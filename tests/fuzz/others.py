# SPDX-License-Identifier: Apache-2.0
"""Valid files of every kind but networks, and who reads them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spikewright.cli.trained import training_of
from spikewright.data import resolve
from spikewright.data.tokeniser import Tokeniser
from spikewright.energy.energy import energy_of
from spikewright.energy.energy_model import read_model
from spikewright.models import load_state
from spikewright.report import read as report
from spikewright.report.write import write_report
from spikewright.training.checkpoint import Checkpoint, load_trained, read, write
from spikewright.training.prepare import conversion_ready
from tests.fuzz.edits import edit_bytes, edit_json, edit_tensors
from tests.unit.data import files as data_files
from tests.unit.report import results

Edit = Callable[[Path, random.Random], tuple[Path, str]]
WORDS = ("x", "name", "nodes", "op", "conv2d", "linear", "os:abort", "torchvision:vgg16", "relu")


def any_bytes(name: str) -> Edit:
    """Edit a file of a folder without knowing what it is."""

    def edit(folder: Path, draw: random.Random) -> tuple[Path, str]:
        content, what = edit_bytes((folder / "valid" / name).read_bytes(), draw)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path, what

    return edit


def any_json(name: str) -> Edit:
    """Edit a JSON file of a folder."""

    def edit(folder: Path, draw: random.Random) -> tuple[Path, str]:
        data = json.loads((folder / "valid" / name).read_text())
        what = edit_json(data, draw, WORDS)
        path = folder / name
        path.write_text(json.dumps(data))
        return path, what

    return edit


def network() -> nn.Module:
    """Return the network that was trained."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))


def make_checkpoint(folder: Path) -> None:
    """Write the state of a run."""
    (folder / "valid").mkdir(parents=True)
    torch.manual_seed(0)
    made = conversion_ready(network(), torch.rand(2, 1, 4, 4), "qcfs", 4)
    record = {"epoch": 1, "loss": 1.0, "accuracy": 50.0, "validation": None, "lr": 0.1}
    run = {
        **dict.fromkeys(("images", "processes", "epoch", "step", "steps", "seen"), 1),
        "config": {"seed": 0},
        "activation": made.settings,
        "digest": made.digest(),
        "input_shape": [None, 1, 4, 4],
        "seconds": 1.5,
        "epoch_seconds": 0.5,
        "sums": [0.0, 0.0, 0.0],
        "best": 0.5,
        "history": [{**record, "seconds": 1.0}],
        "note": {"model": "resnet20"},
    }
    state = made.state_dict()
    write(folder / "valid" / "last.safetensors", Checkpoint(run=run, model=state, ema=state))


def edit_checkpoint(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """Change facts or tensors of a checkpoint."""
    found = read(folder / "valid" / "last.safetensors")
    run, model = json.loads(json.dumps(found.run)), dict(found.model)
    if draw.random() < 0.6:
        part = draw.choice([run, run["activation"], run["note"], run["history"], run])
        what = edit_json(part, draw, [*WORDS, *run])
    else:
        what = edit_tensors(model, draw)
    path = folder / "last.safetensors"
    write(path, Checkpoint(run=run, model=model, ema=found.ema if draw.random() < 0.5 else {}))
    return path, what


def open_checkpoint(path: Path) -> None:
    """Say what it took, and run the network."""
    training_of(f"trained:{path}")
    load_trained(path, network())(torch.rand(2, 1, 4, 4))


def make_graph(folder: Path) -> None:
    """Write a graph file with a node of every operator, and its weights."""
    (folder / "valid").mkdir(parents=True)
    conv = {"stride": [1, 1], "pad_lrtb": [1, 1, 1, 1], "groups": 1, "act": "relu"}
    pool = {"kernel": 2, "stride": 2, "ceil_mode": False}
    nodes: list[dict[str, Any]] = [
        {"op": "conv2d", "name": "a", "inputs": ["x"], "out": "a", **conv},
        {"op": "batchnorm", "name": "n", "inputs": ["a"], "out": "n", "eps": 1e-5},
        {"op": "add", "inputs": ["a", "n"], "out": "s", "act": "relu6"},
        {"op": "concat", "inputs": ["s", "n"], "out": "c"},
        {"op": "maxpool", "inputs": ["c"], "out": "p", **pool},
        {"op": "global_avgpool", "inputs": ["p"], "out": "g"},
        {"op": "linear", "name": "f", "inputs": ["g"], "out": "y"},
    ]
    (folder / "valid" / "net.graph.json").write_text(json.dumps({"nodes": nodes, "output": "y"}))
    shapes = {"a.weight": (4, 2, 3, 3), "f.weight": (3, 8), "f.bias": (3,)}
    shapes |= {f"n.{k}": (4,) for k in ("weight", "bias", "running_mean", "running_var")}
    weights = {n: torch.rand(s) for n, s in {**shapes, "a.bias": (4,)}.items()}
    save_file(weights, folder / "valid" / "net.safetensors")


def edit_graph(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """Change the graph file or its weights."""
    data = json.loads((folder / "valid" / "net.graph.json").read_text())
    weights = load_state(folder / "valid" / "net.safetensors")
    if draw.random() < 0.7:
        part = draw.choice([data, *data["nodes"]])
        what = edit_json(part, draw, [*WORDS, "a", "n", "s", "stride", "kernel"])
    else:
        what = edit_tensors(weights, draw)
    path = folder / "net.graph.json"
    path.write_text(json.dumps(data))
    save_file(weights, folder / "net.safetensors")
    return path, what


def make_weights(folder: Path) -> None:
    """Write a state dict the way torch does."""
    (folder / "valid").mkdir(parents=True)
    torch.save(network().state_dict(), folder / "valid" / "w.pt")


def make_data(folder: Path) -> None:
    """Write every layout of data sets."""
    valid = folder / "valid"
    valid.mkdir(parents=True)
    data_files.cifar(valid)
    data_files.mnist(valid, zipped=True)
    images = data_files.pictures(3, 6, 5)
    np.savez(valid / "images.npz", images=images, labels=np.arange(3))
    np.savez_compressed(valid / "x.npz", x=images / 255.0, y=np.arange(3))
    packed = data_files.packed([data_files.coded(i, "JPEG") for i in images])
    np.savez(valid / "jpeg.npz", jpeg=packed["blob"], offsets=packed["offsets"], labels=[0, 1, 2])
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF"):
        (valid / f"a.{kind.lower()}").write_bytes(data_files.coded(images[0], kind))
    Tokeniser.fit(["to be or not to be"]).save(valid / "words.json")


SETS = {
    "cifar-10-batches-py/test_batch": "cifar10-test",
    "MNIST/raw/t10k-images-idx3-ubyte.gz": "mnist-test",
    "MNIST/raw/t10k-labels-idx1-ubyte.gz": "mnist-test",
    **{f"{n}.npz": "" for n in ("images", "x", "jpeg")},
    **{f"a.{k}": "folder:" for k in ("png", "jpeg", "webp", "bmp", "tiff")},
}


def edit_data(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """Change one file of one data set."""
    name = draw.choice(sorted(SETS))
    for other in ("MNIST/raw/t10k-images-idx3-ubyte.gz", "MNIST/raw/t10k-labels-idx1-ubyte.gz"):
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes((folder / "valid" / other).read_bytes())
    path, what = any_bytes(name)(folder, draw)
    return path, f"{name}, {what}"


def open_data(path: Path) -> None:
    """Read all items."""
    root = path.parent
    name = path.name
    if path.suffix == ".npz":
        items: Any = resolve(str(path))
    elif name.startswith("a."):
        place = root / "set" / "class"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        (place / name).write_bytes(path.read_bytes())
        items = resolve(f"folder:{root / 'set'}")
    else:
        key = next(k for k in SETS if k.endswith(name))
        items = resolve(SETS[key], root.parent if "batch" in name else root.parent.parent)
    for i in range(len(items)):
        x, _ = items[i]
        if not isinstance(x, Tensor) or not bool(x.isfinite().all()):
            raise AssertionError("an item that is no tensor of numbers")


def make_results(folder: Path) -> None:
    """Write results of both kinds, a vocabulary and an energy model."""
    (folder / "valid").mkdir(parents=True)
    for name, content in (("one.json", results.data()), ("two.json", results.comparison())):
        (folder / "valid" / name).write_text(json.dumps(content))
    Tokeniser.fit(["to be or not to be"]).save(folder / "valid" / "words.json")
    source = Path(energy_of.__code__.co_filename).parent / "models"
    for i, model in enumerate(sorted(source.glob("*.toml"))):
        (folder / "valid" / f"{i}.toml").write_bytes(model.read_bytes())


def edit_results(folder: Path, draw: random.Random) -> tuple[Path, str]:
    """Change one of them."""
    name = draw.choice(["one.json", "one.json", "two.json", "words.json", "0.toml", "1.toml"])
    how = any_bytes if name.endswith("toml") or draw.random() < 0.1 else any_json
    path, what = how(name)(folder, draw)
    return path, f"{name}, {what}"


def open_results(path: Path) -> None:
    """Read it, and write a report of it."""
    if path.suffix == ".toml":
        read_model(path)
    elif path.name == "words.json":
        Tokeniser.load(path).encode("to be")
    else:
        report.read([path])
        write_report(path, path.with_suffix(".md"))
        if path.stat().st_size % 4 == 0:  # figures take their time
            write_report(path, path.with_suffix(".html"))
