# SPDX-License-Identifier: Apache-2.0
"""Products with a constant: every spelling is a weighted layer with the right numbers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from spikewright.graph import ops
from tests.unit.graph.spellings import Middle, Net, check_equal, inputs, prepared

# Name: axes of the value (1: features, 2: tokens features, 3: channels rows columns), the spelling.
SPELLINGS: dict[str, tuple[int, Middle]] = {
    "x @ W": (1, lambda s, x: x @ s.w),
    "tokens @ W": (2, lambda s, x: x @ s.w),
    "pixels @ W": (3, lambda s, x: (x.permute(0, 2, 3, 1) @ s.w).permute(0, 3, 1, 2)),
    "W @ x": (2, lambda s, x: s.w @ x.transpose(1, 2)),
    "W @ pictures": (3, lambda s, x: s.square @ x),
    "W.T @ x": (2, lambda s, x: s.w.T @ x.mT),
    "A @ tokens": (2, lambda s, x: s.adjacency @ x),
    "tokens.T @ A": (2, lambda s, x: x.transpose(1, 2) @ s.adjacency),
    "x @ vector": (2, lambda s, x: torch.matmul(x, s.b)),
    "features @ vector": (1, lambda s, x: (x @ s.b).unsqueeze(1)),
    "matrix for each token": (2, lambda s, x: (x.unsqueeze(2) @ s.each).squeeze(2)),
    "matrix for each channel": (3, lambda s, x: s.heads @ x),
    "matrix for a new axis": (2, lambda s, x: x.unsqueeze(1) @ s.several),
    "mm": (1, lambda s, x: torch.mm(x, s.w)),
    "mm of the turned": (1, lambda s, x: torch.mm(s.w, x.t()).t()),
    "addmm": (1, lambda s, x: torch.addmm(s.b, x, s.w)),
    "addmm with factors": (1, lambda s, x: torch.addmm(s.b, x, s.w, beta=0.5, alpha=2.0)),
    "addmm without the first": (1, lambda s, x: torch.addmm(s.b, x, s.w, beta=0)),
    "addmm to a value": (1, lambda s, x: torch.addmm(x, x, s.w, beta=0.25)),
    "bmm expanded": (2, lambda s, x: torch.bmm(x, s.w.expand(x.shape[0], 8, 8))),
    "bmm expanded left": (
        2,
        lambda s, x: torch.bmm(s.w.unsqueeze(0).expand(x.shape[0], -1, -1), x.transpose(1, 2)),
    ),
    "bmm repeated": (2, lambda s, x: torch.bmm(x, s.w.repeat(x.shape[0], 1, 1))),
    "bmm for each token": (2, lambda s, x: torch.bmm(x.transpose(0, 1), s.each).transpose(0, 1)),
    "bmm of rows in the batch": (
        2,
        lambda s, x: torch.bmm(x.reshape(-1, 1, 8), s.w.expand(x.shape[0] * 5, -1, -1)).reshape(
            -1, 5, 8
        ),
    ),
    "bmm of rows before the batch": (
        2,
        lambda s, x: (
            torch.bmm(x.transpose(0, 1).reshape(-1, 1, 8), s.w.expand(x.shape[0] * 5, -1, -1))
            .reshape(5, -1, 8)
            .transpose(0, 1)
        ),
    ),
    "baddbmm": (2, lambda s, x: torch.baddbmm(s.b, x, s.w.expand(x.shape[0], 8, 8), alpha=0.5)),
    "einsum to the channels": (3, lambda s, x: torch.einsum("bchw,cd->bdhw", x, s.w)),
    "einsum from the left": (3, lambda s, x: torch.einsum("dc,bchw->bdhw", s.w, x)),
    "einsum over two axes": (3, lambda s, x: torch.einsum("bchw,chd->bdw", x, s.both)),
    "einsum with groups": (2, lambda s, x: torch.einsum("btc,tcd->btd", x, s.each)),
    "einsum with two groups": (3, lambda s, x: torch.einsum("bchw,cwkh->bckw", x, s.rows)),
    "einsum into heads": (2, lambda s, x: torch.einsum("btc,hcd->bhtd", x, s.several)),
    "einsum that scales": (3, lambda s, x: torch.einsum("bchw,c->bchw", x, s.b)),
    "einsum that repeats": (2, lambda s, x: torch.einsum("btc,k->bkct", x, s.b[:3])),
    "einsum of three": (3, lambda s, x: torch.einsum("bchw,cd,de->behw", x, s.w, s.w)),
    "einsum with dots": (3, lambda s, x: torch.einsum("...hw,vw->...hv", x, s.square)),
    "einsum implicit": (2, lambda s, x: torch.einsum("btc,cd", x, s.w)),
    "einsum of one": (3, lambda s, x: torch.einsum("bchw->bwc", x)),
    "einsum on the diagonal": (3, lambda s, x: torch.einsum("bcii,cd->bdi", x, s.w)),
    "graph convolution": (3, lambda s, x: torch.einsum("vw,bctw->bctv", s.square, x)),
    "graph convolution over kinds": (3, lambda s, x: torch.einsum("nctv,kvw->nctw", x, s.kinds)),
    "tensordot": (3, lambda s, x: torch.tensordot(x, s.w, dims=([1], [0]))),
    "tensordot of one": (2, lambda s, x: torch.tensordot(x, s.w, dims=1)),
    "tensordot left": (
        3,
        lambda s, x: torch.tensordot(s.w, x, dims=([0], [1])).transpose(0, 1),
    ),
    "inner": (2, lambda s, x: torch.inner(x, s.w)),
    "linear with a computed weight": (2, lambda s, x: F.linear(x, s.w.softmax(1) * 2, s.b)),
    "linear the other way round": (1, lambda s, x: F.linear(s.w, x, None).t()),
    "im2col": (3, lambda s, x: s.kernel.view(4, -1) @ F.unfold(x, 3, padding=1)),
    "fold of patches": (3, lambda s, x: F.fold(F.unfold(x, 2, stride=2), (6, 6), 2, stride=2)),
    "windows": (3, lambda s, x: x.unfold(2, 3, 2).unfold(3, 2, 2)),
}


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(5)
    sizes = {
        "w": (8, 8),
        "b": (8,),
        "each": (5, 8, 4),
        "several": (3, 8, 2),
        "both": (8, 6, 4),
        "rows": (8, 6, 2, 6),
        "heads": (8, 3, 6),
        "kernel": (4, 8, 3, 3),
    }
    weights = {name: nn.Parameter(torch.randn(size) / 2) for name, size in sizes.items()}
    buffers = {
        "square": torch.rand(6, 6),
        "adjacency": torch.rand(5, 5),
        "kinds": torch.rand(2, 6, 6),
    }
    return {**weights, **buffers}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_product_with_a_constant_is_a_layer(spelling: str) -> None:
    axes, middle = SPELLINGS[spelling]
    check_equal(Net(axes, middle, **tensors()), inputs(axes))


def test_a_product_over_the_channels_of_pictures_is_a_pointwise_convolution() -> None:
    model = Net(3, SPELLINGS["einsum to the channels"][1], **tensors())
    graph = prepared(model, inputs(3))
    assert [n.op for n in graph if ops.kind(n) == "weighted"][1] == "aten.conv2d.default"


def test_addmm_is_one_layer_with_a_bias() -> None:
    """So are the layers of GPT-2, whose tokens are merged with the batch."""
    graph = prepared(
        Net(
            2,
            lambda s, x: torch.addmm(s.b, x.reshape(-1, 8), s.w).reshape(-1, 5, 8),
            **tensors(),
        ),
        inputs(2),
    )
    assert [len(n.args) for n in graph if ops.kind(n) == "weighted"] == [3, 3, 3]
    assert not any(ops.kind(n) == "add" for n in graph)


@pytest.mark.parametrize(
    "middle",
    [
        lambda s, x: x @ x.transpose(1, 2),
        lambda s, x: torch.einsum("btc,buc->btu", x, x),
        lambda s, x: x * x.mean(1, keepdim=True),
    ],
)
def test_a_product_of_two_values_holds_one_of_them(middle: Middle) -> None:
    model, x = nn.Sequential(Net(2, middle), nn.ReLU()).eval(), inputs(2)
    network = sw.convert(model, calibration=x, T=14)
    assert [ops.kind(n) for n in network.graph if ops.kind(n) in ("hold", "product")] == [
        "hold",
        "product",
    ]
    assert sw.verify(network, x[:4]).agrees
    with torch.no_grad():
        wanted = model(x)
    assert float((network(x) - wanted).norm() / wanted.norm()) < 3e-3
    with pytest.raises(UnsupportedModuleError, match=r"does not take \(product of two values\)"):
        sw.convert(model, "burst", calibration=x)
