# SPDX-License-Identifier: Apache-2.0
"""Random changes of images: what may come out, and that torchvision does the same to one image."""

import importlib
from types import ModuleType

import pytest
import torch
from torch import Tensor

from spikewright._vision import torchvision
from spikewright.errors import ConfigError
from spikewright.training import autoaugment
from spikewright.training.augment import augmented, cutout


def numbered(count: int, side: int) -> Tensor:
    """Images whose every pixel is unique and above 0."""
    return torch.arange(1, count * side * side + 1).reshape(count, 1, side, side)


def windows(image: Tensor, margin: int) -> list[Tensor]:
    """All windows of a padded image, and their mirror images."""
    side = image.shape[-1]
    padded = torch.nn.functional.pad(image, (margin,) * 4)
    cut = [
        padded[..., i : i + side, j : j + side]
        for i in range(2 * margin + 1)
        for j in range(2 * margin + 1)
    ]
    return [*cut, *(c.flip(-1) for c in cut)]


@pytest.mark.parametrize(("side", "margin"), [(8, 1), (16, 2), (4, 1)])
def test_every_image_is_a_window_of_the_padded_one(side: int, margin: int) -> None:
    images = numbered(200, side)
    out = augmented(images)
    assert (out.shape, out.dtype) == (images.shape, images.dtype)
    found = set()
    for image, changed in zip(images, out, strict=True):
        matches = [i for i, w in enumerate(windows(image, margin)) if torch.equal(w, changed)]
        assert len(matches) == 1
        found.add(matches[0])
    # 200 draws of at most 50 kinds: each is missing with probability 0.98**200 = 2 %
    assert len(found) > 0.8 * 2 * (2 * margin + 1) ** 2


def test_channels_move_together() -> None:
    images = numbered(20, 8).expand(20, 3, 8, 8)
    out = augmented(images)
    assert torch.equal(out[:, 0], out[:, 1])


def test_a_hole_is_half_the_side_and_inside_unless_cut_off() -> None:
    x = cutout(torch.ones(500, 2, 8, 8))
    holes = x[:, 0] == 0
    assert torch.equal(holes, x[:, 1] == 0)
    rows, columns = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), rows * columns)  # a rectangle
    assert set(rows.tolist()) == {2, 3, 4}  # centre 0..7, two pixels before and two from it on
    assert (rows == 4).float().mean() == pytest.approx(5 / 8, abs=0.1)
    assert set(columns.tolist()) == {2, 3, 4}


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    torchvision()
    return importlib.import_module("torchvision.transforms.v2")


def test_the_policies_are_those_of_torchvision(theirs: ModuleType) -> None:
    change = theirs.AutoAugment(theirs.AutoAugmentPolicy.CIFAR10)
    expected = change._get_policies(theirs.AutoAugmentPolicy.CIFAR10)
    plain = [tuple((name, p, level or 0) for name, p, level in pair) for pair in expected]
    assert plain == list(autoaugment.POLICIES)


def test_every_operation_is_that_of_torchvision(theirs: ModuleType) -> None:
    change = theirs.AutoAugment(theirs.AutoAugmentPolicy.CIFAR10)
    images = torch.randint(256, (3, 3, 16, 32), dtype=torch.uint8)
    used = {name for pair in autoaugment.POLICIES for name, _, _ in pair}
    for name in used:
        strengths, signed = change._AUGMENTATION_SPACE[name]
        table = strengths(10, 16, 32)
        for level in range(10):
            expected = 0.0 if table is None else float(table[level])
            mine = autoaugment.magnitude(name, level, 16, 32)
            assert mine == pytest.approx(expected, abs=1e-5)  # float32 there
            assert signed == (name in autoaugment.SIGNED)
            for strength in (expected, -expected) if signed else (expected,):
                one_by_one = [
                    change._apply_image_or_video_transform(
                        image, name, strength, change.interpolation, change._fill
                    )
                    for image in images
                ]
                together = autoaugment.apply(images, name, strength)
                assert torch.equal(together, torch.stack(one_by_one))


def test_a_policy_does_not_depend_on_the_other_images() -> None:
    images = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8)
    before = images.clone()
    torch.manual_seed(1)
    out = autoaugment.policy(images)
    assert torch.equal(images, before)
    other = images.clone()
    other[1:] = 255 - other[1:]
    torch.manual_seed(1)
    assert torch.equal(autoaugment.policy(other)[0], out[0])
    changed = (out != images).flatten(1).any(1)
    assert 0.5 < changed.float().mean() < 1.0


def test_operations_come_as_often_as_their_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[str, int] = {}
    turned = 0

    def count(images: Tensor, name: str, strength: float) -> Tensor:
        nonlocal turned
        counts[name] = counts.get(name, 0) + len(images)
        turned += len(images) * (name == "ShearY" and strength < 0)
        return images

    monkeypatch.setattr(autoaugment, "apply", count)
    number = 20000
    autoaugment.policy(torch.zeros((number, 1, 2, 2), dtype=torch.uint8))
    expected: dict[str, float] = {}
    for pair in autoaugment.POLICIES:
        for name, probability, _ in pair:
            expected[name] = expected.get(name, 0.0) + number * probability / 25
    for name, mean in expected.items():
        # binomial: five standard deviations
        assert abs(counts.get(name, 0) - mean) < 5 * mean**0.5 + 1
    assert abs(turned - expected["ShearY"] / 2) < 5 * expected["ShearY"] ** 0.5


def test_other_numbers_of_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="1 or 3 channels for AutoAugment, got 2"):
        autoaugment.policy(torch.zeros((1, 2, 4, 4), dtype=torch.uint8))
