# SPDX-License-Identifier: Apache-2.0
"""The ONNX model of one step, run T times, sends every spike of the synchronous simulator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.integers import lower_step
from spikewright.network import SpikingNetwork
from spikewright.simulators import SynchronousReference


class Net(nn.Module):
    """A convolution, overlapping maxima, a shortcut, a relay, sums, and linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.c, self.d, self.e = nn.Linear(4, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = F.max_pool2d(F.relu(self.a(x)), 3, 2, 1)
        b = F.relu(self.b(a) + a)
        y: Tensor = self.e(F.relu(self.d(self.c(F.avg_pool2d(b, 2).mean((2, 3))))))
        return y


def made(method: str, **options: Any) -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(1)
    x = torch.randn(6, 2, 8, 8)
    snn = sw.convert(Net().eval(), method, calibration=x, T=6, **options)
    return snn.to_integer(), x


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("rueckauer", {"pool": "lateral-inhibition"}),
        ("rueckauer", {"pool": "lateral-inhibition", "reset": "hard", "v_init": 0.5}),
        ("burst", {"per_channel": True}),
        ("casc", {}),
    ],
)
def test_every_spike_and_output_of_every_step(
    method: str, options: dict[str, Any], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    snn, x = made(method, **options)
    found = sw.export(snn, tmp_path / "out", to="onnx")
    path = str(tmp_path / "out" / "network.onnx")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    kinds = {"tensor(int32)": "int32", "tensor(int64)": "int64"}
    state = {
        i.name: np.zeros([len(x), *i.shape[1:]], kinds[i.type])
        for i in session.get_inputs()
        if i.type in kinds
    }
    assert list(state) == found.manifest["states"]
    sent: dict[str, list[Tensor]] = {}
    reference = SynchronousReference(snn)
    steps = reference.over_time(
        snn.check_input(x), lambda name, t, s: sent.setdefault(name, []).append(s[0].clone())
    )
    total = 0
    for t, (y,) in enumerate(steps, start=1):
        out = dict(zip(names, session.run(names, {"input": x.numpy(), **state}), strict=True))
        state = {name: out[f"{name}/next"] for name in state}
        assert set(state["step"]) == {t}
        for name, train in sent.items():
            spikes = train[t - 1] if len(train) >= t else torch.zeros_like(train[0])
            assert np.array_equal(out[name].reshape(spikes.shape), spikes.numpy()), (name, t)
            total += int(spikes.abs().sum())
        (output,) = (name for name in names if name.endswith("/output"))
        assert np.allclose(out[output], y.numpy(), rtol=1e-12, atol=1e-12)
    assert t == found.manifest["steps"] == snn.steps
    assert total > 500


def test_refusals_name_the_layer_and_what_to_do() -> None:
    with pytest.raises(UnsupportedModuleError, match=r"gate accumulated-count; convert with pool="):
        lower_step(made("rueckauer")[0])
    with pytest.raises(UnsupportedModuleError, match=r'convert with input="analog"'):
        lower_step(made("burst", input="poisson")[0])
    with pytest.raises(ConfigError, match=r"integer step: expected a synchronous .* got layered"):
        lower_step(made("spikeconverter")[0])
