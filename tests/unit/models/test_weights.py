# SPDX-License-Identifier: Apache-2.0
"""Weights: every misfit is told at once, nothing pickled runs, sound files load in any form."""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from spikewright.errors import FileFormatError
from spikewright.models import apply_state, load_state


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        load_state(path)


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, f"{name}: expected a weights file, got no file. Check the path.")


@pytest.mark.parametrize("kept", [0, 7, 60, -1])
def test_a_truncated_safetensors_file(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.safetensors"
    save_file(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "a.safetensors: expected a safetensors file, got one that cannot be read (")


@pytest.mark.parametrize("kept", [0, 1, 40, 500, -1])
def test_a_truncated_state_dict(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.pt"
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    refused(
        path, "a.pt: expected a state dict of plain tensors, got a file that does not load as one ("
    )


@pytest.mark.parametrize("content", [b"not weights at all", bytes(range(256)), b"\x80\x02K\x01."])
def test_a_foreign_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    refused(path, "a.pt: expected a state dict of")


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))],
    ids=["torch", "pickle"],
)
def test_a_pickled_object_is_refused_and_not_executed(
    tmp_path: Path, save: Callable[[object, Path], None]
) -> None:
    path, marker = tmp_path / "a.pt", tmp_path / "executed"
    save({"weight": Payload(marker)}, path)
    refused(path, "Nothing in it was executed. Save model.state_dict(), best as safetensors.")
    assert not marker.exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "a.pt: expected a state dict of plain tensors")


@pytest.mark.parametrize(
    ("content", "kinds"),
    [([torch.zeros(1)], "list"), ({"a": torch.zeros(1), "epoch": 3}, "Tensor, int")],
)
def test_something_else_than_a_state_dict(tmp_path: Path, content: object, kinds: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", f"a.pt: expected a state dict of tensors, got {kinds}. Save model")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    state = network().state_dict()
    state["0.weight"][1, 0, 2, 2] = value
    save_file(state, tmp_path / "a.safetensors")
    refused(tmp_path / "a.safetensors", "expected finite weights, got NaN or infinity in 0.weight.")


def test_all_misfits_are_in_one_error() -> None:
    state = network().state_dict()
    state["0.weights"] = state.pop("0.weight")
    state["1.bias"] = torch.zeros(3)
    state["0.bias"] = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(FileFormatError) as caught:
        apply_state(network(), state, "a.pt")
    assert str(caught.value) == (
        "a.pt: expected the 7 tensors of Sequential, got some missing: 0.weight; "
        "unexpected: 0.weights; of another shape: 1.bias (3, expected 2); "
        "of another kind: 0.bias (torch.int64, expected torch.float32). "
        "Give the weights of this very architecture."
    )


def test_a_long_list_of_misfits_is_cut() -> None:
    deep = nn.Sequential(*(nn.Linear(1, 1) for _ in range(20)))
    with pytest.raises(FileFormatError, match=r"missing: 0.weight, 0.bias, .* and 32 more"):
        apply_state(deep, {}, "empty")


def test_nothing_is_changed_by_weights_that_do_not_fit() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = {name: torch.ones_like(tensor) for name, tensor in before.items()}
    del state["1.bias"]
    with pytest.raises(FileFormatError):
        apply_state(model, state, "a.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def _plain(state: dict[str, Tensor]) -> object:
    return state


def _checkpoint(state: dict[str, Tensor]) -> object:
    return {"state_dict": state, "best_prec1": 91.7}


def _parallel(state: dict[str, Tensor]) -> object:
    return {f"module.{name}": tensor for name, tensor in state.items()}


@pytest.mark.parametrize("form", [_plain, _checkpoint, _parallel])
def test_state_dicts_load_in_the_forms_they_come_in(
    tmp_path: Path, form: Callable[[dict[str, Tensor]], object]
) -> None:
    source, target = network(), network()
    torch.save(form(source.state_dict()), tmp_path / "a.pt")
    apply_state(target, load_state(tmp_path / "a.pt"), "a.pt")
    assert torch.equal(target[0].weight, source[0].weight)


def test_half_precision_becomes_the_models_own_and_counters_may_lack(tmp_path: Path) -> None:
    state = {
        name: tensor.half()
        for name, tensor in network().state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, tmp_path / "a.safetensors")
    model = network()
    apply_state(model, load_state(tmp_path / "a.safetensors"), "a")
    assert model[0].weight.dtype == torch.float32
    assert torch.equal(model[0].weight, state["0.weight"].float())


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(1 << 40),
        torch.zeros(3, dtype=torch.complex64),
        torch.zeros(3).to(torch.float8_e4m3fn),
        torch.zeros(3, 3).to_sparse(),
        torch.zeros(3, device="meta"),
    ],
    ids=["repeated", "complex", "float8", "sparse", "nowhere"],
)
def test_tensors_that_are_not_in_the_file(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({"a": tensor}, tmp_path / "w.pt")
    with pytest.raises(FileFormatError, match=r"expected (tensors of real numbers|a state dict)"):
        load_state(tmp_path / "w.pt")


def test_a_compressed_state_dict_is_not_torchs(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "w.pt")
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as plain,
        zipfile.ZipFile(tmp_path / "z.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    with pytest.raises(FileFormatError, match="torch writes no compressed files"):
        load_state(tmp_path / "z.pt")
