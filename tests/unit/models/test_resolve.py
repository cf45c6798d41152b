# SPDX-License-Identifier: Apache-2.0
"""Models from their short forms, and exported programs that are opened only when harmless."""

import io
import json
import pickle
import re
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from spikewright.errors import ConfigError, FileFormatError, SpikewrightError, UnknownNameError
from spikewright.models import is_registered, names, resolve

CODE = """
import dataclasses
import helper_beside
from torch import nn

@dataclasses.dataclass
class Settings:
    width: int = helper_beside.WIDTH

def build():
    return nn.Sequential(nn.Linear(Settings().width, 2), nn.Dropout())

def needs(width):
    return nn.Linear(width, 1)

def fails():
    raise ValueError("no luck")

def returns_none():
    pass

ready = nn.Linear(1, 1)
NUMBER = 3
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "helper_beside.py").write_text("WIDTH = 3\n")
    path = tmp_path / "user_model.py"
    path.write_text(CODE)
    return path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A small network with batch norm, exported with a free batch size."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    free = ({0: torch.export.Dim("n")},)
    exported = torch.export.export(model, (torch.zeros(2, 1, 5, 5),), dynamic_shapes=free)
    path = tmp_path / "net.pt2"
    torch.export.save(exported, path)
    return path


def refused(
    spec: str, message: str, kind: type[SpikewrightError], weights: Path | None = None
) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        resolve(spec, weights)


# --- names


@pytest.mark.parametrize("name", ["resnet-20", "vgg", "", "model.onnx"])
def test_an_unknown_name_shows_names_and_forms(name: str) -> None:
    refused(name, f"model {name!r}: not known.", UnknownNameError)
    refused(name, "MODULE:FUNCTION", UnknownNameError)
    refused(name, "resnet20", UnknownNameError)


@pytest.mark.parametrize("name", names())
def test_named_models_are_in_eval_mode(name: str) -> None:
    assert not resolve(name).training


def test_weights_for_a_name(tmp_path: Path) -> None:
    source = resolve("digits-cnn")
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    loaded = resolve("digits-cnn", tmp_path / "w.safetensors")
    assert torch.equal(loaded.linear.weight, source.linear.weight)
    refused("resnet20", "w.safetensors: expected the", FileFormatError, tmp_path / "w.safetensors")


# --- code


def test_a_function_of_a_file(code: Path) -> None:
    before = list(sys.path)
    model = resolve(f"{code}:build")
    assert model(torch.zeros(1, 3)).shape == (1, 2)
    assert not model.training
    assert sys.path == before


def test_a_model_of_a_file(code: Path) -> None:
    assert isinstance(resolve(f"{code}:ready"), nn.Linear)


def test_a_function_of_a_module_in_the_working_folder(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(code.parent)
    assert resolve("user_model:build")(torch.zeros(1, 3)).shape == (1, 2)


def test_a_function_of_an_installed_module() -> None:
    assert isinstance(resolve("torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("buidl", "function 'buidl': not known. Did you mean 'build'?", UnknownNameError),
        ("needs", "got TypeError: needs() missing 1 required positional argument", ConfigError),
        ("fails", "got ValueError: no luck. Wrap it in one that sets its arguments.", ConfigError),
        (
            "returns_none",
            "returns_none: expected an nn.Module, got NoneType. Return the model.",
            ConfigError,
        ),
        ("NUMBER", "NUMBER: expected a function that returns a model, got int.", ConfigError),
    ],
)
def test_a_name_in_code_that_gives_no_model(
    code: Path, name: str, message: str, kind: type[SpikewrightError]
) -> None:
    refused(f"{code}:{name}", message, kind)


def test_code_that_cannot_be_imported(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    refused(f"{broken}:f", "broken.py:f: expected a Python file, got none", FileFormatError)
    broken.write_text("def f(:")
    refused(f"{broken}:f", "expected code that can be imported, got SyntaxError", ConfigError)
    refused(
        "no.such.module:f", "got none called 'no'. Check the name, or give a file", UnknownNameError
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("exit()", "got a call of exit(). Put what a script does below `if __name__"),
        ("import sys; sys.exit(3)", "got a call of exit(3)."),
        ("raise SystemExit('bye')", "got a call of exit('bye')."),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", "a call of exit(2)."),
        ("raise KeyboardInterrupt", "got a KeyboardInterrupt of its own."),
    ],
)
def test_code_that_ends_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    before = signal.getsignal(signal.SIGINT)
    for name, text in {
        "at_import": f"{line}\ndef build(): pass\n",
        "when_called": f"def build():\n    {line}\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
        refused(f"{tmp_path / name}.py:build", said, ConfigError)
        monkeypatch.chdir(tmp_path)
        refused(f"{name}:build", said, ConfigError)
        sys.modules.pop(name, None)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way there")
def test_ctrl_c_while_code_is_imported_stays_an_interrupt(tmp_path: Path) -> None:
    path = tmp_path / "pressed.py"
    path.write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            resolve(f"{path}:build")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


# --- torchvision


def test_an_unknown_torchvision_name() -> None:
    message = "torchvision model 'resnet19': not known. Did you mean 'resnet18'"
    refused("torchvision:resnet19", message, UnknownNameError)
    refused("torchvision:fcn_resnet50", "not known", UnknownNameError)  # not a classifier


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet"])
def test_a_torchvision_model(name: str) -> None:
    model = resolve(f"torchvision:{name}")
    assert not model.training
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


# --- exported programs


def test_an_exported_program(program: Path, tmp_path: Path) -> None:
    model = resolve(str(program))
    assert not model.training
    assert model(torch.zeros(7, 1, 5, 5)).shape == (7, 2, 3, 3)
    weights = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    zeroed = resolve(str(program), tmp_path / "w.safetensors")
    assert zeroed(torch.ones(2, 1, 5, 5)).abs().sum() == 0


def test_a_missing_exported_program(tmp_path: Path) -> None:
    refused(
        str(tmp_path / "a.pt2"), "a.pt2: expected an exported program, got no file", FileFormatError
    )


@pytest.mark.parametrize("kept", [0, 3, 1000, -1])
def test_a_truncated_exported_program(program: Path, kept: int) -> None:
    program.write_bytes(program.read_bytes()[:kept])
    message = "net.pt2: expected an exported program, got a file that cannot be read ("
    refused(str(program), message, FileFormatError)


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Change the entries of an archive, named without its top folder."""
    with zipfile.ZipFile(path) as archive:
        entries = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"net/{name}", content)
    return path


def test_rewriting_alone_does_no_harm(program: Path) -> None:
    assert resolve(str(rewritten(program, lambda _: None)))(torch.zeros(2, 1, 5, 5)).shape == (
        2,
        2,
        3,
        3,
    )


def poisoned(marker: Path) -> bytes:
    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (marker,)

    stream = io.BytesIO()
    torch.save(((Payload(),), {}), stream)
    return stream.getvalue()


def pickled_inputs(entries: dict[str, bytes], marker: Path) -> None:
    entries["data/sample_inputs/model.pt"] = poisoned(marker)


def pickled_weight(entries: dict[str, bytes], marker: Path) -> None:
    name = "data/weights/model_weights_config.json"
    config = json.loads(entries[name])
    config["config"]["0.weight"]["use_pickle"] = True
    entries[name] = json.dumps(config).encode()
    entries["data/weights/weight_0"] = poisoned(marker)


def old_weights(entries: dict[str, bytes], marker: Path) -> None:
    entries["data/weights/model.pt"] = poisoned(marker)


def opaque_constant(entries: dict[str, bytes], marker: Path) -> None:
    entries["data/constants/opaque_obj_0"] = pickle.dumps(None)
    entries["data/constants/model_constants_config.json"] = json.dumps(
        {"config": {"c": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}}}
    ).encode()


def compiled_code(entries: dict[str, bytes], marker: Path) -> None:
    entries["data/aotinductor/model/model.so"] = b"\x7fELF"


def no_graph(entries: dict[str, bytes], marker: Path) -> None:
    del entries["models/model.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled_inputs, "got one with pickled example inputs that are more than tensors"),
        (pickled_weight, "got one with the pickled tensor '0.weight'"),
        (old_weights, "got one with the entry 'data/weights/model.pt'"),
        (opaque_constant, "got one with the entry 'data/constants/opaque_obj_0'"),
        (compiled_code, "got one with the entry 'data/aotinductor/model/model.so'"),
        (no_graph, "got one with no entry 'models/model.json'"),
    ],
)
def test_a_program_that_could_run_something_is_refused(
    program: Path, change: Callable[[dict[str, bytes], Path], None], message: str
) -> None:
    marker = program.with_name("executed")
    rewritten(program, lambda entries: change(entries, marker))
    refused(str(program), message, FileFormatError)
    refused(str(program), "Nothing in it was executed.", FileFormatError)
    assert not marker.exists()


def test_the_poison_of_these_tests_works(program: Path) -> None:
    """Without the check, torch's own reader runs what is pickled in the example inputs."""
    marker = program.with_name("executed")
    rewritten(program, lambda entries: pickled_inputs(entries, marker))
    with pytest.raises(Exception):  # noqa: B017, PT011  (whatever torch says about the result)
        torch.export.load(program).module()(torch.zeros(2))
    assert marker.exists()


def test_a_named_network_may_have_settings() -> None:
    model = resolve("casc-yolo-vgg16:classes=3,width=1/16,stride=8")
    maps = model(torch.zeros(1, 3, 32, 32))
    assert [tuple(m.shape) for m in maps] == [(1, c, 4, 4) for c in (1, 3, 4)]
    assert is_registered("casc-yolo-vgg16:classes=3")
    assert not is_registered("os:abort=1")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("casc-yolo-vgg16:depth=3", "expected once each of classes, width, stride, got 'depth=3'"),
        ("casc-yolo-vgg16:stride=8,stride=8", "got 'stride=8'. Correct the name."),
        ("casc-yolo-vgg16:classes=2.5", "expected classes=8 or the like, got 'classes=2.5'"),
        ("casc-yolo-vgg16:width=1/0", "expected width=1/8 or the like, got 'width=1/0'"),
        ("vgg16:classes=3", "model vgg16:classes=3: expected no setting, got 'classes=3'"),
    ],
)
def test_settings_that_a_network_does_not_have(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        resolve(spec)
