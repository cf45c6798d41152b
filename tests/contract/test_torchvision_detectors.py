# SPDX-License-Identifier: Apache-2.0
"""Bodies of torchvision's detectors, at their full width: they convert, and what verify says.

In pictures so small that the coarsest map of the body is 2 × 2 and those behind it are points;
``python -m benchmarks.detection`` has larger ones.
"""

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright._vision import torchvision
from spikewright.models.detection import split

pytestmark = pytest.mark.slow

SIZE = 64


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    detector = getattr(torchvision().models.detection, name)
    options = {"weights": None, "weights_backbone": None, "min_size": SIZE, "max_size": SIZE}
    model: nn.Module = detector(**options)
    return model.eval()


@pytest.mark.parametrize("name", ["fasterrcnn_resnet50_fpn"])
def test_a_body_converts_by_the_equality_law_and_both_simulators_agree(name: str) -> None:
    body, postprocess = split(build(name))
    x, _ = postprocess.preprocess([torch.rand(3, SIZE, SIZE) for _ in range(2)])
    snn = sw.convert(body, T=12, calibration=x, scale=sw.Max())
    verified = sw.verify(snn, x[:1], reference=body)
    assert verified.agrees, verified.table()
    assert verified.mismatches == 0
    assert verified.original.difference is not None
    assert verified.original.difference < 1e-4
    with torch.no_grad():
        wanted = torch.utils._pytree.tree_leaves(body(x[:1]))
    for own, other in zip(torch.utils._pytree.tree_leaves(snn(x[:1])), wanted, strict=True):
        assert float((own - other).norm() / other.norm()) < 0.05
