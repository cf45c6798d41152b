# SPDX-License-Identifier: Apache-2.0
"""Transformers and gated networks, the whole path: law, both simulators, account, file."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from tests.contract import transformers as small
from tests.contract.test_torchvision import with_statistics

pytestmark = pytest.mark.slow


def outputs(results: Any) -> list[Tensor]:
    """Return the tensors of a network's results, whatever holds them."""
    if isinstance(results, Tensor):
        return [results]
    inner = results.values() if isinstance(results, dict) else results
    return [t for one in inner for t in outputs(one)]


def run(network: Any, x: Tensor | dict[str, Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return outputs(network(x) if isinstance(x, Tensor) else network(**x))


def check(model: nn.Module, x: Tensor | dict[str, Tensor], path: Path) -> None:
    """Convert a network and go with it wherever a user does.

    Args:
        model: In eval mode.
        x: Four inputs.
        path: Where its file goes.
    """
    snn = sw.convert(model, T=8, calibration=[x])
    assert snn.provenance["equality"]["difference"] < 1e-4
    verification = sw.verify(snn, x)
    assert verification.original is not None
    assert verification.original.agrees
    assert verification.agrees, verification.table()
    wanted, found = run(model, x), run(snn, x)
    assert [t.shape for t in wanted] == [t.shape for t in found]
    error = sum(float((a - b).square().sum()) for a, b in zip(wanted, found, strict=True))
    assert error < 0.3**2 * sum(float(a.square().sum()) for a in wanted)  # random weights
    count = sw.evaluate(snn, [x], reference=model, task="outputs").lengths[-1]
    assert count.additions_per_sample > 0
    assert any(layer.kind == "product" for layer in count.layers) == _multiplies(snn)
    assert 0.5 < count.spike_purity < 1.0
    snn.save(path)
    for a, b in zip(found, run(sw.load(path), x), strict=True):
        assert torch.equal(a, b)


def _multiplies(snn: sw.SpikingNetwork) -> bool:
    return any(node.op == "sw.product" for node in snn.graph)


@pytest.mark.parametrize("name", [n for n in small.PICTURES if "norm" not in n])
def test_networks_for_pictures_go_the_whole_way(name: str, tmp_path: Path) -> None:
    build, shape, elements = small.PICTURES[name]
    torch.manual_seed(0)
    model = build()
    if name == "vit":  # its last layer begins with zeros
        nn.init.normal_(model.heads.head.weight)
    if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        model = with_statistics(model)
    x = torch.randn(4, *shape)
    small.check_operators_of_pictures(small.analog(small.prepared(model, x)), elements)
    check(model, x, tmp_path / "snn")


@pytest.mark.parametrize("name", small.HUGGING_FACE)
def test_networks_for_tokens_go_the_whole_way(
    library: ModuleType, name: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = small.hugging_face(library, name, "sdpa").eval()
    x = {k: torch.cat([v, v.roll(3, 1)]) for k, v in small.tokens().items()}
    small.check_operators_of_tokens(small.analog(small.prepared(model, x)))
    check(model, x, tmp_path / "snn")
