# SPDX-License-Identifier: Apache-2.0
"""What others make of an exported NIR graph: every spike of every population is ours.

NIRTorch runs the graph; with the equations of NIR's docstrings as modules it is the reader that
does what the words say. SpikingJelly keeps the meaning of a hard reset (nir 1.0.8), sinabs that of
a soft one (nir 1.0.4, in a process of its own).
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.contract.nir_networks import Chain, Shortcut, T, exported, network, spikes

ROOT = Path(__file__).parents[2]
OLD = Path(sys.prefix) / "nir-1.0.4"


class Integrator(nn.Module):
    """v ← v + dt·R·I."""

    def __init__(self, node: Any, dt: float) -> None:
        super().__init__()
        self.gain = torch.tensor(node.r.astype("float64") * dt).float()

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.gain * x if state is None else state + self.gain * x
        return v, v


class Reset(Integrator):
    """z = [v > threshold];  v ← v_reset where z, else v."""

    def __init__(self, node: Any, dt: float) -> None:
        super().__init__(node, dt)
        self.threshold, self.v_reset = torch.tensor(node.v_threshold), torch.tensor(node.v_reset)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, _ = super().forward(x, state)
        z = v > self.threshold
        return z.float(), torch.where(z, self.v_reset, v)


class Pointwise(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def by_the_words(path: str, dt: float) -> nn.Module:
    """Read a file as the docstrings of nir 1.0.8 say."""
    nir, torch_of = importlib.import_module("nir"), importlib.import_module("nirtorch")

    def conv(node: Any) -> nn.Module:
        weight, bias = torch.tensor(node.weight), torch.tensor(node.bias)
        how = tuple(tuple(map(int, v)) for v in (node.stride, node.padding, node.dilation))
        return Pointwise(lambda x: torch.conv2d(x, weight, bias, *how, int(node.groups)))

    def affine(node: Any) -> nn.Module:
        weight, bias = torch.tensor(node.weight), torch.tensor(node.bias)
        return Pointwise(lambda x: nn.functional.linear(x, weight, bias))

    def times(node: Any) -> nn.Module:
        scale = torch.tensor(node.scale)
        return Pointwise(lambda x: x * scale)

    def above(node: Any) -> nn.Module:
        threshold = torch.tensor(node.threshold)
        return Pointwise(lambda x: (x > threshold).float())

    known = {
        nir.I: lambda node: Integrator(node, dt),
        nir.IF: lambda node: Reset(node, dt),
        nir.Threshold: above,
        nir.Scale: times,
        nir.Conv2d: conv,
        nir.Affine: affine,
        nir.Flatten: lambda node: nn.Flatten(int(node.start_dim) + 1, int(node.end_dim)),
    }
    model: nn.Module = torch_of.nir_to_torch(nir.read(path), known)
    return model


def run(model: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return what every node gives at every step, and the mean output."""
    seen: dict[str, list[Tensor]] = {}
    for name, module in model.named_children():

        def keep(_: object, __: object, out: Any, name: str = name) -> None:
            seen.setdefault(name, []).append(out[0] if isinstance(out, tuple) else out)

        module.register_forward_hook(keep)
    total, state = torch.zeros(()), None
    with torch.no_grad():
        for _ in range(T):
            out, state = model(x, state)
            total = total + out
    return {name: torch.stack(out) for name, out in seen.items()}, total / T


@pytest.mark.parametrize(
    ("model", "reset", "v_init"),
    [
        (Chain, "subtract", 0.0),
        (Shortcut, "subtract", 0.5),
        (Chain, "hard", 0.5),
        (Shortcut, "hard", 0.0),
    ],
)
def test_every_spike_by_the_words(
    model: type[nn.Module], reset: str, v_init: float, tmp_path: Path
) -> None:
    pytest.importorskip("nirtorch", reason='pip install "spikewright[nir,peers]"')
    snn, x = network(model, reset=reset, v_init=v_init)
    written, path = exported(snn, tmp_path)
    expected, y = spikes(snn, x)
    found, mean = run(by_the_words(path, written.manifest["dt"]), x)
    assert set(written.manifest["populations"]) == set(expected)
    for name, population in written.manifest["populations"].items():
        assert torch.equal(found[population["node"]], expected[name])
        assert 0 < int(expected[name].sum()) < expected[name].numel()
    assert torch.allclose(mean, y, rtol=0, atol=1e-6)


def test_spikingjelly_keeps_the_hard_reset(tmp_path: Path) -> None:
    pytest.importorskip("nirtorch", reason='pip install "spikewright[nir,peers]"')
    name = "spikingjelly.activation_based.nir_exchange"
    reader = pytest.importorskip(name, reason='pip install "spikewright[peers]"')
    snn, x = network(Chain, reset="hard")
    written, path = exported(snn, tmp_path)
    expected, y = spikes(snn, x)
    found, mean = run(reader.import_from_nir(path, dt=written.manifest["dt"]), x)
    for site, population in written.manifest["populations"].items():
        assert torch.equal(found[population["node"]], expected[site])
    assert torch.allclose(mean, y, rtol=0, atol=1e-6)


@pytest.mark.skipif(not OLD.is_dir(), reason=f"no nir 1.0.4 and sinabs in {OLD.name}; see .ci/run")
def test_sinabs_keeps_the_soft_reset_once_it_sends_one_spike_a_step() -> None:
    paths = os.pathsep.join([str(OLD), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.nir_sinabs"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["as said"]["differ"] == found["as said"]["output"] == 0
    assert found["as said"]["sent"] > 500
    assert found["as read"]["differ"] > 0  # several spikes at once, and no potential below -θ
