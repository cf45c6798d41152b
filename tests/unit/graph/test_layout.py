# SPDX-License-Identifier: Apache-2.0
"""Elements that are moved, chosen and added up under rarer names."""

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.graph import Program, ops
from spikewright.graph.windows import to_sum
from tests.unit.graph.spellings import Middle, Net, check_equal, inputs, prepared

INDEX = torch.randint(0, 8, (1, 4, 6, 6), generator=torch.Generator().manual_seed(0))
SPELLINGS: dict[str, tuple[int, Middle]] = {
    "tile": (3, lambda s, x: x.tile(1, 2, 1, 1)),
    "tile the last": (3, lambda s, x: x.tile(2)),
    "repeat": (3, lambda s, x: x.repeat(1, 1, 2, 2)),
    "hstack": (3, lambda s, x: torch.hstack([x, x * 2])),
    "dstack": (3, lambda s, x: torch.dstack([x, x * 2])),
    "dstack of vectors": (1, lambda s, x: torch.dstack([x, x * 2])),
    "column_stack": (1, lambda s, x: torch.column_stack([x, x * 2])),
    "rot90": (3, lambda s, x: torch.rot90(x, 1, (2, 3))),
    "rot90 back": (3, lambda s, x: torch.rot90(x, -1, (1, 3))),
    "rot90 twice": (3, lambda s, x: torch.rot90(x, 2, (2, 3))),
    "flip": (3, lambda s, x: x.flip(1, 3)),
    "fliplr": (3, lambda s, x: torch.fliplr(x)),
    "roll": (3, lambda s, x: x.roll((1, 2), (1, 3))),
    "moveaxis": (3, lambda s, x: x.moveaxis(1, -1)),
    "swapaxes": (3, lambda s, x: x.swapaxes(1, 2).swapdims(2, 3)),
    "narrow": (3, lambda s, x: x.narrow(1, 2, 3)),
    "index_select": (3, lambda s, x: x.index_select(1, torch.tensor([0, 2, 2]))),
    "a list of channels": (3, lambda s, x: x[:, [5, 0]]),
    "pairs of pixels": (3, lambda s, x: x[:, :, [0, 1], [3, 5]]),
    "gather": (3, lambda s, x: x.gather(1, INDEX.expand(x.shape[0], -1, -1, -1))),
    "diagonal": (3, lambda s, x: x.diagonal(dim1=2, dim2=3)),
    "cumsum over channels": (3, lambda s, x: x.cumsum(1)),
    "cumsum over columns": (3, lambda s, x: x.cumsum(-1)),
    "cumsum of features": (1, lambda s, x: x.cumsum(1)),
    "diff": (3, lambda s, x: x.diff(dim=2)),
    "diff of features": (1, lambda s, x: torch.diff(x)),
    "diff twice": (3, lambda s, x: torch.diff(x, n=2, dim=1)),
    "diff with the first": (3, lambda s, x: torch.diff(x, dim=1, prepend=x[:, :1])),
    "mean of a list": (3, lambda s, x: torch.stack([x, 2 * x, x.flip(1)], 1).mean(1)),
    "sum and mean": (3, lambda s, x: x.sum(-1, keepdim=True) + x.mean((2, 3), keepdim=True)),
    "squeeze": (3, lambda s, x: x.mean((2, 3), keepdim=True).squeeze()),
    "squeeze to one": (3, lambda s, x: x.mean((1, 2, 3), keepdim=True).squeeze().view(-1, 1)),
    "expand_as": (3, lambda s, x: x.mean(3, keepdim=True).expand_as(x)),
    "view_as": (3, lambda s, x: x.flatten(1).view_as(x)),
    "atleast_3d": (1, lambda s, x: torch.atleast_3d(x)),
    "unflatten": (1, lambda s, x: nn.Unflatten(1, (2, 4))(x)),
    "pixel_shuffle": (3, lambda s, x: nn.functional.pixel_shuffle(x, 2)),
    "tensor_split": (3, lambda s, x: torch.cat(torch.tensor_split(x, 3, 1)[::-1], 1)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_moved_and_summed_elements_keep_their_numbers(spelling: str) -> None:
    axes, middle = SPELLINGS[spelling]
    model, x = Net(axes, middle), inputs(axes)
    if "squeeze" not in spelling:  # there the model itself loses a batch of one
        check_equal(model, x)
        return
    network = sw.convert(model.eval(), calibration=x, T=14)
    with torch.no_grad():
        wanted = model(x)
    found = torch.cat([sw.simulate(network, x[:1]), sw.simulate(network, x[1:])])
    assert float((found - wanted).norm() / wanted.norm()) < 3e-3


def test_squeeze_never_takes_the_batch() -> None:
    graph = prepared(Net(3, SPELLINGS["squeeze"][1]), inputs(3))
    (squeeze,) = [n for n in graph if "squeeze" in n.op]
    assert (squeeze.op, squeeze.args[1]) == ("aten.squeeze.dims", (2, 3))


@pytest.mark.parametrize(("spelling", "ways"), [("cumsum over columns", 21), ("diff", 10)])
def test_sums_with_signs_count_every_way_once(spelling: str, ways: int) -> None:
    """A line of 6 sums up over 6 + 5 + … + 1 ways; 5 differences of neighbours have 2 each."""
    graph = prepared(Net(3, SPELLINGS[spelling][1]), inputs(3))
    (node,) = [n for n in graph if n.op == ops.WINDOW_SUM]
    assert to_sum(graph, node, ways=True) == 1
    matrix = graph.params[graph[node.name].params[0]]
    assert int(matrix.sum()) == ways
    assert float(matrix.min()) == 0.0


@pytest.mark.parametrize("spelling", ["cumsum over channels", "diff", "diff of features"])
def test_sums_with_signs_convert_to_integers(spelling: str) -> None:
    axes, middle = SPELLINGS[spelling]
    x = inputs(axes)
    network = sw.convert(Net(axes, middle).eval(), calibration=x, T=8, per_channel=False)
    assert sw.verify(network.to_integer(), x[:4]).agrees


class Windows(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.cumsum(1).diff(dim=1)


def test_differences_of_sums_are_the_elements() -> None:
    x = torch.randint(-9, 9, (3, 7)).float()
    graph = prepared(Windows(), x)
    assert torch.equal(Program(graph)(x)[0], x[:, 1:])
