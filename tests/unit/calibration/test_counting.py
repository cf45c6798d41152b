# SPDX-License-Identifier: Apache-2.0
"""Counting in tiles and threads: every value in its bin once, whatever the layout and the size.

The reference divides Python numbers one by one and knows of neither tiles nor tensors.
"""

import math
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import spikewright as sw
from spikewright.calibration import RangeHistogram, SiteObserver

BINS = 1024


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let PyTorch use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def by_hand(values: list[float], bins: int = BINS) -> tuple[dict[int, int], int, float]:
    """Return the number of values above zero in each bin, that of the others, and the maximum."""
    highest = max(0.0, *values)
    end = 2.0**-64
    while end <= highest:
        end *= 2.0
    held = Counter(math.floor(v / end * bins) for v in values if v > 0.0)
    return dict(held), sum(v <= 0.0 for v in values), highest


def held(histogram: RangeHistogram, channel: int) -> tuple[dict[int, int], int, float]:
    """Return what ``by_hand`` does, of one channel of a histogram."""
    counts = histogram.counts[channel]
    return (
        {b: int(counts[b]) for b in counts.nonzero().squeeze(1).tolist()},
        int(histogram.zeros[channel]),
        histogram.max[channel].item(),
    )


def drawn(*shape: int) -> Tensor:
    """Draw values below, at and above zero, of a range of their own in every channel (axis 1)."""
    x = torch.randn(shape)
    x[torch.rand(shape) < 0.2] = 0.0
    spread = 2.0 ** torch.linspace(-7, 6, shape[1])
    return x * spread.view(-1, *(1 for _ in shape[2:]))


def channels_last(x: Tensor) -> Tensor:
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


SHAPES = {
    "long rows": (3, 7, 150, 171),
    "rows longer than a tile": (1, 2, 400, 401),
    "many channels": (5, 1500, 7, 7),
    "one input, one value a channel": (1, 70_000, 1, 1),
    "tokens": (40, 24, 197),
    "features": (900, 301),
    "small": (2, 3, 4, 5),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_every_value_is_counted_once(shape: tuple[int, ...], last: bool, threads: int) -> None:
    x = drawn(*shape)
    kept = x.clone()
    observer = SiteObserver(1, signed=False, bins=16 if shape[1] > 10_000 else BINS)
    observer.observe(channels_last(x) if last else x)
    assert torch.equal(x, kept)
    histogram = observer.histogram
    assert histogram.count.tolist() == [x.numel() // shape[1]] * shape[1]
    for c in range(0, shape[1], max(1, shape[1] // 150)):
        assert held(histogram, c) == by_hand(x[:, c].flatten().tolist(), observer.bins)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("signed", [False, True])
def test_one_histogram_of_everything(dtype: torch.dtype, signed: bool, threads: int) -> None:
    x = drawn(4, 5, 120, 130).to(dtype)
    observer = SiteObserver(None, signed)
    observer.observe(channels_last(x))
    values = (x.abs() if signed else x).flatten().tolist()
    assert held(observer.histogram, 0) == by_hand(values)


def test_gaps_in_memory_are_not_counted(threads: int) -> None:
    x = drawn(6, 8, 100, 200)[1:5, 2:7, ::2, 3:190]
    observer = SiteObserver(1, signed=False)
    observer.observe(x)
    for c in range(5):
        assert held(observer.histogram, c) == by_hand(x[:, c].flatten().tolist())


def test_later_batches_widen_only_the_channels_that_grow(threads: int) -> None:
    batches = [drawn(4, 40, 50, 50) * factor for factor in (0.01, 1.0, 0.3, 1000.0)]
    batches[3][:, 10:] /= 1e6
    observer = SiteObserver(1, signed=False)
    for batch in batches:
        observer.observe(batch)
    together = torch.cat(batches)
    for c in range(0, 40, 3):
        assert held(observer.histogram, c) == by_hand(together[:, c].flatten().tolist())


def test_tiny_values_are_above_zero_in_every_thread(threads: int) -> None:
    x = torch.full((1, 64, 80, 80), 1e-45)
    x[:, :, 0, 0] = 3e38
    x[:, :, 0, 1] = 0.0
    observer = SiteObserver(1, signed=False)
    observer.observe(x)
    assert observer.histogram.zeros.tolist() == [1] * 64
    assert observer.histogram.counts[:, 0].tolist() == [6398] * 64


def test_inference_mode_reaches_the_threads(threads: int) -> None:
    x = drawn(2, 64, 60, 60)
    inside, outside = SiteObserver(1, signed=False), SiteObserver(1, signed=False)
    outside.observe(x)
    with torch.inference_mode():
        inside.observe(x)
        inside.observe(x)
    assert torch.equal(inside.histogram.counts, 2 * outside.histogram.counts)


def test_a_network_s_statistics_are_those_of_the_values_in_the_model(threads: int) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3, stride=2), nn.ReLU6(), nn.Flatten(),
        nn.Linear(8 * 22 * 22, 12), nn.ReLU(), nn.Linear(12, 4),
    )  # fmt: skip
    layers = {"1/relu": model[1], "3/hardtanh": model[3], "6/relu": model[6]}
    batches = [torch.randn(16, 3, 48, 48), torch.randn(16, 3, 48, 48) * 7.0]
    statistics = sw.calibrate(model, batches).statistics
    values: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers.values()}
    for layer in layers.values():
        layer.register_forward_hook(lambda layer, _, out: values[layer].append(out.detach()))
    with torch.no_grad():
        for batch in batches:
            model(batch)
    assert statistics.samples == 32
    for site, layer in layers.items():
        together, histogram = torch.cat(values[layer]), statistics[site].histogram
        assert histogram.channels == together.shape[1]
        for c in range(histogram.channels):
            assert held(histogram, c) == by_hand(together[:, c].flatten().tolist())
