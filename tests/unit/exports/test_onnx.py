# SPDX-License-Identifier: Apache-2.0
"""The ONNX model gives every train, in integer operators alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from benchmarks._data import case
from spikewright.cli.demo_training import as_tensors, train
from spikewright.data import load_digits
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.exports import lower, onnx_model
from spikewright.network import SpikingNetwork
from spikewright.simulators import Collapsed
from tests.unit.exports.conftest import Deep, Made, Wide


def differences(snn: SpikingNetwork, x: Tensor, folder: Path) -> tuple[int, int]:
    """Run the exported model; return how many values its outputs have and how many differ."""
    runtime = pytest.importorskip("onnxruntime")
    sw.export(snn, folder / "out", to="onnx")
    path = str(folder / "out" / "network.onnx")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, {given.name: x.numpy()}), strict=True))
    expected: dict[str, Tensor] = {}
    y = Collapsed(snn)(snn.check_input(x), lambda n, v: expected.update({n: v.clone()}))
    (output,) = (name for name in names if name.endswith("/output"))
    expected[output] = y[0]
    assert set(expected) <= set(names)
    differ = sum(int((found[n].reshape(v.shape) != v.numpy()).sum()) for n, v in expected.items())
    return sum(v.numel() for v in expected.values()), differ


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Wide, {}),
        (Wide, {"input": "encoded", "per_channel": True, "T": 12}),
        (Deep, {"extra_step": True, "T": 8}),
        (Deep, {"T": 16}),
        (Deep, {"T": 5, "input": "encoded"}),
    ],
)
def test_every_train_and_output_is_the_networks(
    model: type[nn.Module], options: dict[str, Any], made: Made, tmp_path: Path
) -> None:
    snn, x = made(model, **options)
    values, differ = differences(snn, x, tmp_path)
    assert values > 0
    assert differ == 0


def test_the_digits_network_gives_every_train_of_all_tests(tmp_path: Path) -> None:
    x, y = as_tensors(load_digits("train"), torch.device("cpu"))
    model = train(x, y, 1, progress=False).model
    snn = sw.convert(model, T=8, calibration=x[:256]).to_integer()
    tests, _ = as_tensors(load_digits("test"), torch.device("cpu"))
    values, differ = differences(snn, tests, tmp_path)
    assert len(tests) == 445
    assert (values, differ) == (445 * (3 * 28 * 64 + 28 * 16 + 56 * 16 + 56 * 4 + 10), 0)


@pytest.mark.data
@pytest.mark.slow
def test_resnet20_gives_every_train_of_100_images(data_dir: Path, tmp_path: Path) -> None:
    real = case("resnet20", data_dir)
    snn = sw.convert(real.model, T=8, calibration=real.calibration(64)).to_integer()
    x = torch.cat([images for images, _ in real.test(100)])[:100]
    values, differ = differences(snn, x, tmp_path)
    assert values > 100 * 180_000
    assert differ == 0


def test_layers_are_integer_operators(made: Made) -> None:
    pytest.importorskip("onnx")
    model = onnx_model.onnx_model(lower(made(Wide)[0]))
    kinds = {node.op_type for node in model.graph.node}
    assert {"ConvInteger", "MatMulInteger"} <= kinds
    assert not {"Conv", "Gemm"} & kinds


def test_weights_of_more_than_8_bits_are_refused_with_the_layer(made: Made) -> None:
    pytest.importorskip("onnx")
    snn, _ = made(Deep, integer=False)
    with pytest.raises(UnsupportedModuleError, match=r"a \(.*\): weights up to 32767"):
        onnx_model.onnx_model(lower(snn.to_integer(weight_bits=16)))


def test_sums_that_leave_32_bits_are_refused_with_the_layer() -> None:
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(70_000, 2, bias=False), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        layers[0].weight.fill_(0.01)
    snn = sw.convert(layers, T=4, calibration=torch.rand(4, 70_000)).to_integer()
    with pytest.raises(UnsupportedModuleError, match=r"0 \(.*\): sums up to 2266950000"):
        onnx_model.onnx_model(lower(snn))


def test_without_the_package_it_says_what_to_install(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(onnx_model, "import_module", missing)
    with pytest.raises(ConfigError, match=r"pip install spikewright\[onnx\]"):
        onnx_model.onnx_model(lower(made(Deep)[0]))
