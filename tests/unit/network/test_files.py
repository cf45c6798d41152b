# SPDX-License-Identifier: Apache-2.0
"""Saving and loading: every kind of damage gives one clear error, and nothing is executed."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import FileFormatError, SpikewrightWarning
from spikewright.network import SpikingNetwork, files


@pytest.fixture(scope="module")
def network() -> SpikingNetwork:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )
    return sw.convert(model, calibration=torch.rand(8, 1, 6, 6), T=5)


def parts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {n: file.get_tensor(n) for n in file.keys()}, file.metadata()  # noqa: SIM118


def rewrite(path: Path, change: Any) -> None:
    """Change the description of a file and give it a digest that fits, as an attacker would."""
    tensors, metadata = parts(path)
    description = json.loads(metadata["network"])
    change(description)
    text = json.dumps(description, sort_keys=True)
    save_file(tensors, path, {**metadata, "network": text, "digest": files.digest(tensors, text)})


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="got nothing there"):
        sw.load(tmp_path / "none.safetensors")
    with pytest.raises(FileFormatError, match="got nothing there"):
        sw.load(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_file(tmp_path: Path, network: SpikingNetwork, share: float) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(FileFormatError, match=r"net\.safetensors: expected a safetensors file"):
        sw.load(path)


def test_a_flipped_bit_anywhere(tmp_path: Path, network: SpikingNetwork) -> None:
    """A single bit, in the header or in a tensor, is found."""
    path = tmp_path / "net.safetensors"
    network.save(path)
    whole = bytearray(path.read_bytes())
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match=r"net\.safetensors"):
            sw.load(path)


def test_trained_weights_are_not_a_network(tmp_path: Path) -> None:
    save_file({"weight": torch.rand(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(FileFormatError, match="a safetensors file of another kind"):
        sw.load(tmp_path / "weights.safetensors")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    for name, write in (("raw.pkl", pickle.dump), ("torch.pt", torch.save)):
        with (tmp_path / name).open("wb") as file:
            write(Bomb(tmp_path / "exploded"), file)
        with pytest.raises(FileFormatError, match="expected a safetensors file"):
            sw.load(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_another_version_is_refused(tmp_path: Path, network: SpikingNetwork) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    tensors, metadata = parts(path)
    save_file(tensors, path, {**metadata, "version": "99"})
    with pytest.raises(FileFormatError, match="expected format version 5, got 99"):
        sw.load(path)


@pytest.mark.parametrize(
    "op",
    ["os.system", "aten.nothing.default", "torch.load", "aten.relu.__class__", "builtins.eval"],
)
def test_an_unknown_operator_is_refused(tmp_path: Path, network: SpikingNetwork, op: str) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    rewrite(path, lambda d: d["graph"]["nodes"][-2].update(op=op))
    with pytest.raises(FileFormatError, match="not one that a network may call"):
        sw.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("graph"),
        lambda d: d["graph"].pop("outputs"),
        lambda d: d["graph"]["nodes"][1].update(args=[{"ref": "nobody"}]),
        lambda d: d["graph"]["nodes"][1].update(args=[{"module": "os"}]),
        lambda d: d["graph"]["nodes"][1].update(args=[{"ref": "input", "param": "x"}]),
        lambda d: d["graph"]["nodes"].append(7),
        lambda d: d["sites"][0].update(name="nobody"),
        lambda d: d["sites"].pop(0),
        lambda d: d["sites"][0]["code"].update(k=9.0),
        lambda d: d["sites"][0]["code"].update(name="morse"),
        lambda d: d.pop("provenance"),
        lambda d: d["sites"][0].update(neuron="perceptron"),
        lambda d: d.update(schedule="chaos"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    tmp_path: Path, network: SpikingNetwork, change: Any
) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    rewrite(path, change)
    with pytest.raises(FileFormatError):
        sw.load(path)


def test_a_folder_that_does_not_exist(tmp_path: Path, network: SpikingNetwork) -> None:
    with pytest.raises(FileFormatError, match="could not be written"):
        network.save(tmp_path / "no" / "net.safetensors")


def test_a_write_that_fails_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, network: SpikingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    with pytest.raises(FileFormatError, match="No space left"):
        network.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_folder_in_the_way_is_not_replaced(tmp_path: Path, network: SpikingNetwork) -> None:
    (tmp_path / "net").mkdir()
    with pytest.raises(FileFormatError, match="could not be written"):
        network.save(tmp_path / "net")
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_read_only_folder(tmp_path: Path, network: SpikingNetwork) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileFormatError, match="could not be written"):
        network.save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_loaded_network_is_the_saved_one(tmp_path: Path, network: SpikingNetwork) -> None:
    path, x = tmp_path / "net.safetensors", torch.rand(4, 1, 6, 6)
    network.save(str(path))
    again = sw.load(str(path))
    assert torch.equal(sw.api.simulate(again, x), sw.api.simulate(network, x))
    assert again.summary() == network.summary()
    assert again.provenance == network.provenance
    assert again.source is None
    again.to_integer().save(path)
    third = sw.load(path)
    assert third.integer
    assert sw.api.verify(third, x).agrees


def edited(path: Path, change: Any) -> None:
    """Change the tensors of a file, digest included."""
    tensors, metadata = parts(path)
    change(tensors)
    digest = files.digest(tensors, metadata["network"])
    save_file(tensors, path, {**metadata, "digest": digest})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["sites"][0].update(gamma=0), "gamma: expected 1 to"),
        (lambda d: d["sites"][0].update(gamma=1.5), "gamma: expected int"),
        (lambda d: d["sites"][0].update(leak=1.5), "leak: expected a number from 0 to 1"),
        (lambda d: d["sites"][0].update(channel_axis=9), "expected a channel axis from 0 to 3"),
        (lambda d: d["sites"][0].update(more=1), "site: expected the fields"),
        (lambda d: d["sites"].append(d["sites"][0]), "expected different names"),
        (lambda d: d["sites"][0]["code"].update(T=1 << 40), "T: expected 0 to 65536"),
        (lambda d: d["sites"][0]["code"].update(T=0), "code: radix code: expected a whole number"),
        (lambda d: d["sites"][0]["code"].update(T="4"), "T: expected int"),
        (lambda d: d["sites"][0]["code"].update(extra_step=5), "extra_step: expected bool"),
        (lambda d: d["sites"][0]["code"].pop("k"), "code: expected k, got none"),
        (
            lambda d: d["sites"][0].update(neuron="if-soft"),
            "expected what the layered schedule can run, got the neuron 'if-soft'",
        ),
        (
            lambda d: d["schedule"].update(name="synchronous"),
            "expected what the synchronous schedule can run, got the neuron 'inverse-lif'",
        ),
        (lambda d: d["schedule"].update(name="chaos"), "schedule: expected one of layered"),
        (lambda d: d["schedule"].update(more=1), "schedule: layered: expected the settings"),
        (lambda d: d["sites"][0]["function"].update(name="eval"), "function: expected one of"),
        (lambda d: d["sites"][0]["function"].pop("name"), "name: expected str"),
        (lambda d: d.update(input="telepathic"), "input: expected one of analog"),
        (lambda d: d.update(analog_relays=[1]), "input: expected one of analog"),
        (lambda d: d.update(integer=True), "expected tensors of torch.float64"),
        (lambda d: d.update(integer=1), "integer: expected bool"),
        (lambda d: d.update(more=1), "description: expected the fields"),
        (lambda d: d["analog_range"].update(input="x"), "analog_range: that of 'input'"),
        (lambda d: d["provenance"].update(config=[]), "config is of another kind"),
        (
            lambda d: d["graph"]["outputs"].append(d["graph"]["outputs"][0]),
            "expected 1 inputs or outputs",
        ),
        (lambda d: d["graph"]["outputs"].clear(), "expected 1 inputs or outputs"),
        (lambda d: d["graph"]["outputs"].append("nobody"), "are not among its nodes"),
        (lambda d: d["graph"]["nodes"].append(d["graph"]["nodes"][-1]), "two nodes are called"),
        (lambda d: d["graph"]["nodes"][1].update(pick=-1), "expected a place as pick"),
        (lambda d: d["graph"]["nodes"][1].update(op=7), "op: expected str"),
        (lambda d: d["graph"]["nodes"][1].update(shape=[None, None]), "batch on one axis"),
        (lambda d: d["graph"]["nodes"][0].update(shape=[2, 1, 6, 6]), "with the batch first"),
        (lambda d: d["graph"].update(arguments={"tensor": 0}), "expected arguments of a call"),
    ],
)
def test_each_field_has_its_kind_and_range(
    tmp_path: Path, network: SpikingNetwork, change: Any, message: str
) -> None:
    refuses(tmp_path, network, rewrite, change, rf"net\.safetensors: .*{message}")


def refuses(folder: Path, network: SpikingNetwork, edit: Any, change: Any, message: str) -> None:
    """Save, edit, and see it refused."""
    path = folder / "net.safetensors"
    network.save(path)
    edit(path, change)
    with pytest.raises(FileFormatError, match=message):
        sw.load(path)


def fill(name: str, value: float) -> Any:
    def change(tensors: dict[str, Tensor]) -> None:
        key = next(n for n in sorted(tensors) if n.startswith("site/") and n.endswith(name))
        tensors[key] = torch.full_like(tensors[key], value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fill("/scale", 0.0), "expected scale above 0"),
        (fill("/scale", -1.0), "expected scale above 0"),
        (fill("/threshold", 0.0), "expected threshold above 0"),
        (fill("/threshold", float("nan")), "expected finite numbers as threshold"),
        (fill("/pre_bias", float("inf")), "expected finite numbers as pre_bias"),
        (lambda t: t.update({"more": torch.zeros(1)}), "got also more"),
        (lambda t: t.pop(next(n for n in t if n.endswith("/scale"))), "expected scale, got none"),
        (lambda t: t.update({next(iter(t)): torch.zeros(2).half()}), "of F16"),
        (lambda t: t.update({next(iter(t)): torch.zeros(2, dtype=torch.complex64)}), "of C64"),
    ],
)
def test_tensors_that_no_network_has(
    tmp_path: Path, network: SpikingNetwork, change: Any, message: str
) -> None:
    refuses(tmp_path, network, edited, change, message)


def test_a_description_nested_without_end(tmp_path: Path, network: SpikingNetwork) -> None:
    path = tmp_path / "net.safetensors"
    network.save(path)
    tensors, metadata = parts(path)
    for text, message in (
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 levels deep"),
        ('{"graph": NaN}', "NaN is no number"),
        ('{"graph": 1, "graph": 2}', "'graph' is there twice"),
    ):
        digest = files.digest(tensors, text)
        save_file(tensors, path, {**metadata, "network": text, "digest": digest})
        with pytest.raises(FileFormatError, match=message):
            sw.load(path)


class Inverse(nn.Module):
    """Analog work behind the network that no file may name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(self.body(x))


def test_saving_what_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    snn = sw.convert(Inverse(), calibration=torch.rand(8, 4), T=4)
    with pytest.warns(SpikewrightWarning, match=r"written, but load\(\) refuses it: .*bessel"):
        snn.save(path)
    with pytest.raises(FileFormatError, match="not one that a network may call"):
        sw.load(path)
