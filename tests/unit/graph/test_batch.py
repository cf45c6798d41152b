# SPDX-License-Identifier: Apache-2.0
"""Where the batch is: split, moved to the front and back, joined, found in captured models."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spikewright.errors import FileFormatError, UnsupportedModuleError
from spikewright.graph import capture
from spikewright.graph.batch import (
    BatchAxis,
    Merged,
    Size,
    batch_axis,
    decode_shape,
    element_count,
    encode_shape,
    join,
    neuron_shape,
    sizes,
)

SHAPES = st.builds(
    lambda before, size, behind: (*before, size, *behind),
    st.lists(st.integers(1, 3), max_size=2),
    st.none() | st.builds(Merged, st.integers(1, 3), st.integers(1, 3)),
    st.lists(st.integers(1, 3), max_size=2),
)


def owned(shape: tuple[Size, ...], batch: int) -> Tensor:
    """Return a value whose elements are numbers of their own, by the definition of ``Merged``."""
    return torch.arange(float(torch.tensor(sizes(shape, batch)).prod())).reshape(
        sizes(shape, batch)
    )


def sample(x: Tensor, shape: tuple[Size, ...], n: int, batch: int) -> list[float]:
    """Return the elements of one sample in order, from the definition."""
    at = batch_axis(shape)
    assert at is not None
    keep = [i for i in range(x.shape[at.axis]) if i // at.inner % batch == n]
    return x.index_select(at.axis, torch.tensor(keep)).flatten().tolist()


@given(SHAPES, st.integers(1, 4))
def test_samples_first_and_back(shape: tuple[Size, ...], batch: int) -> None:
    x, at = owned(shape, batch), batch_axis(shape)
    assert at is not None
    assert at.size(x) == batch
    first = at.first(x)
    assert first.shape == (batch, *neuron_shape(shape))
    for n in range(batch):
        assert first[n].flatten().tolist() == sample(x, shape, n, batch)
    assert torch.equal(at.back(first), x)
    assert element_count(shape) == first[0].numel()


@given(SHAPES, st.integers(1, 3), st.integers(1, 3))
def test_parts_in_the_batch_are_cut_and_put_together(
    shape: tuple[Size, ...], batch: int, parts: int
) -> None:
    whole, at = owned(shape, batch * parts), batch_axis(shape)
    assert at is not None
    cut = at.split(whole, parts)
    assert cut.shape == (parts, *sizes(shape, batch))
    for part in range(parts):
        for n in range(batch):
            wanted = sample(whole, shape, part * batch + n, batch * parts)
            assert sample(cut[part], shape, n, batch) == wanted
    assert torch.equal(at.unsplit(cut), whole)
    assert torch.equal(join(list(cut), shape), whole)


def test_a_constant_has_no_batch() -> None:
    x = torch.rand(3, 4)
    assert batch_axis((3, 4)) is None
    assert join([x, x], (3, 4)) is x


def test_what_is_no_tensor_has_no_elements() -> None:
    assert element_count(None) == 0
    assert element_count((None,)) == 1


@given(SHAPES)
def test_shapes_go_to_files_and_back(shape: tuple[Size, ...]) -> None:
    assert decode_shape(encode_shape(shape)) == shape


@pytest.mark.parametrize("data", [3, "x", [1.5], [[1]], [[1, 2, 3]], [-1], [True], {"a": 1}])
def test_what_is_no_shape_is_refused(data: object) -> None:
    with pytest.raises(FileFormatError, match="expected a shape"):
        decode_shape(data)


class Runs(nn.Module):
    """A function as a module."""

    def __init__(self, fn: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x)


MOVED: list[tuple[Callable[[Tensor], Tensor], BatchAxis]] = [
    (lambda x: x * 2, BatchAxis()),
    (lambda x: x.permute(1, 0, 2), BatchAxis(1)),
    (lambda x: x.reshape(-1, 6), BatchAxis(0, 1, 4)),
    (lambda x: x.permute(1, 0, 2).reshape(-1, 6), BatchAxis(0, 4, 1)),
    (lambda x: x.permute(1, 0, 2).reshape(2, -1, 6), BatchAxis(1, 2, 1)),
    (lambda x: x.permute(1, 0, 2).reshape(2, -1, 3), BatchAxis(1, 2, 2)),
    (lambda x: torch.where(x > 0, x, torch.zeros_like(x)), BatchAxis()),
    (lambda x: torch.where(x > 0, x, 0.0).permute(1, 0, 2).reshape(-1, 3), BatchAxis(0, 4, 2)),
    (lambda x: x.new_ones(4, x.shape[0], 6).reshape(-1, 3) * 2, BatchAxis(0, 4, 2)),
    (lambda x: F.pad(x, (1, 1)).transpose(0, 2), BatchAxis(2)),
    (lambda x: x.sum((1, 2)), BatchAxis()),
    (lambda x: x.argmax(2), BatchAxis()),
]


@pytest.mark.parametrize(("fn", "wanted"), MOVED)
def test_the_batch_is_found_wherever_it_went(
    fn: Callable[[Tensor], Tensor], wanted: BatchAxis
) -> None:
    graph = capture(Runs(fn), torch.rand(3, 4, 6))
    shape = graph[graph.outputs[0]].shape
    assert batch_axis(shape) == wanted
    assert sizes(shape or (), 5) == tuple(fn(torch.rand(5, 4, 6)).shape)


MIXED: list[tuple[Callable[[Tensor], Tensor], str]] = [
    (lambda x: x - x.mean(0), "sample"),
    (lambda x: x.flip(0), "another order"),
    (lambda x: x.roll(1, 0), "another order"),
    (lambda x: x @ x.T, "two axes"),
    (lambda x: x[0] + x, "sample"),
    (lambda x: torch.cat([x, x[:1]]), "multiple of the batch"),
    (lambda x: x.softmax(0), "several samples"),
    (lambda x: x.cumsum(0), "several samples"),
    (lambda x: x.argmax(0).float(), "sample"),
    (lambda x: (x > 0).flip(0), "another order"),
    (lambda x: x * x.sum(), "sample"),
]


@pytest.mark.parametrize(("fn", "said"), MIXED)
def test_samples_that_are_mixed_are_refused_with_the_line(
    fn: Callable[[Tensor], Tensor], said: str
) -> None:
    with pytest.raises(UnsupportedModuleError, match=rf"test_batch\.py:\d+.*{said}"):
        capture(Runs(fn), torch.rand(3, 4))
