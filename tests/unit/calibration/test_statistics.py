# SPDX-License-Identifier: Apache-2.0
"""Statistics of a network: merging, digests, and files that are not ours."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spikewright.calibration import SiteObserver, Statistics
from spikewright.errors import CalibrationError, ConfigError, FileFormatError, ShapeError


def made(names: tuple[str, ...] = ("a", "b:c"), channels: int = 3) -> Statistics:
    statistics = Statistics(
        {name: SiteObserver(None if i else 1, signed=bool(i)) for i, name in enumerate(names)}
    )
    generator = torch.Generator().manual_seed(0)
    for name in names:
        statistics[name].observe(torch.randn(4, channels, generator=generator))
    statistics.samples += 4
    return statistics


def test_it_reads_like_a_mapping() -> None:
    statistics = made()
    assert list(statistics) == ["a", "b:c"]
    assert len(statistics) == 2
    assert "a" in statistics
    assert "z" not in statistics


def test_sites_must_have_names() -> None:
    with pytest.raises(ConfigError, match="expected every site to have a name"):
        Statistics({"": SiteObserver(None, signed=False)})


def test_other_sites_do_not_merge() -> None:
    with pytest.raises(CalibrationError, match="expected the same sites to merge, got a, z on one"):
        made(("a", "b")).merge(made(("z", "b")))
    with pytest.raises(ShapeError, match=r"^a: range histogram: expected"):
        made().merge(made(channels=2))
    with pytest.raises(CalibrationError, match=r"^a: observer: expected"):
        made(("a", "b")).merge(made(("b", "a")))


def test_merging_adds_samples() -> None:
    statistics = made()
    assert statistics.merge(made()) is statistics
    assert statistics.samples == 8
    assert statistics["a"].histogram.count.tolist() == [8, 8, 8]


def test_the_digest_sees_everything() -> None:
    digests = {made().digest()}
    more = made()
    more.samples += 1
    digests.add(more.digest())
    for name in ("a", "b:c"):
        seen = made()
        seen[name].observe(torch.zeros(1, 3))
        digests.add(seen.digest())
    digests.add(made(("a", "c")).digest())
    digests.add(Statistics({"a": SiteObserver(1, False)}).digest())
    digests.add(Statistics({"a": SiteObserver(1, True)}).digest())
    digests.add(Statistics({"a": SiteObserver(None, True)}).digest())
    assert len(digests) == 8
    assert made().digest() == made().digest()


def test_a_file_gives_the_same_statistics(tmp_path: Path) -> None:
    statistics = made()
    empty = Statistics({**statistics, "unseen": SiteObserver(2, signed=True, bins=64)}, 4)
    save_file(empty.to_tensors(), tmp_path / "statistics.safetensors")
    again = Statistics.from_tensors(load_file(tmp_path / "statistics.safetensors"))
    assert again.digest() == empty.digest()
    assert again["unseen"].is_empty
    assert (again["unseen"].channel_axis, again["unseen"].bins) == (2, 64)
    assert (again["b:c"].channel_axis, again["b:c"].signed) == (None, True)


def drop(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.pop(name)


@pytest.mark.parametrize(
    "damage",
    [
        drop(":samples"),
        drop("a:settings"),
        drop("a:counts"),
        drop("b:c:max"),
        lambda tensors: tensors.update({"weight": torch.ones(1)}),
        lambda tensors: tensors.update({"a:extra": torch.ones(1)}),
        lambda tensors: tensors.update({"a:zeros": torch.zeros(2, dtype=torch.int64)}),
        lambda tensors: tensors.update({"a:counts": torch.zeros((3, 5), dtype=torch.int64)}),
        lambda tensors: tensors.update({"a:counts": torch.zeros((3, 64), dtype=torch.int64)}),
        lambda tensors: tensors.update({"a:settings": torch.zeros(2, dtype=torch.int64)}),
        lambda tensors: tensors.update({"a:counts": -tensors["a:counts"]}),
        lambda tensors: tensors.update({"a:counts": tensors["a:counts"] + 1}),
        lambda tensors: tensors.update({"a:max": tensors["a:max"] * 100.0}),
        lambda tensors: tensors.update({"a:max": tensors["a:max"] * float("nan")}),
        lambda tensors: tensors.update({"a:exponents": tensors["a:exponents"] + 1}),
        lambda tensors: tensors.update({":samples": torch.ones(2)}),
    ],
)
def test_damaged_content_is_refused(damage: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = made().to_tensors()
    damage(tensors)
    with pytest.raises(FileFormatError, match="statistics: expected"):
        Statistics.from_tensors(tensors)
