# SPDX-License-Identifier: Apache-2.0
"""Preprocess: refuses nonsense, agrees with torchvision's transforms and with arithmetic."""

import re
import sys
import tomllib

import numpy as np
import pytest
import torch
from PIL import Image

from spikewright._vision import torchvision
from spikewright.data import Preprocess
from spikewright.errors import ConfigError, ShapeError
from tests.unit.data.files import pictures


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"size": 0},
            "preprocess.size: expected a height and width of 1 to 16384 pixels, or None, got 0",
        ),
        ({"size": (8, -1)}, "got (8, -1)"),
        ({"crop": 0.0}, "preprocess.crop: expected a fraction in (0, 1], or None, got 0.0"),
        ({"crop": 1.5}, "got 1.5"),
        ({"scale": float("nan")}, "preprocess.scale: expected a finite number above 0, got nan"),
        ({"std": (0.0,)}, "preprocess.std: expected numbers above 0, got (0.0,)"),
        (
            {"mean": (1.0, 2.0)},
            "preprocess.mean: expected 1 or 3 finite numbers for RGB, got (1.0, 2.0)",
        ),
        (
            {"mean": (1.0, 2.0, 3.0), "channels": "L"},
            "expected 1 finite numbers for L, got (1.0, 2.0, 3.0)",
        ),
        ({"channels": "CMYK"}, "preprocess.channels: expected 'RGB', 'BGR' or 'L', got 'CMYK'"),
        ({"interpolation": "lanczos"}, "preprocess.interpolation: expected 'nearest', 'bilinear'"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_setting_out_of_range_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Preprocess(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sise": 3}, "preprocess.keys: expected some of channels, crop, interpolation, mean,"),
        (
            {"size": "large"},
            "preprocess.size: expected a whole number, or two: [height, width], got 'large'",
        ),
        ({"size": [1, 2, 3]}, "got (1, 2, 3)"),
        ({"size": True}, "got True"),
        ({"crop": "big"}, "preprocess.crop: expected a number in (0, 1], got 'big'"),
        ({"mean": ["a"]}, "preprocess.mean: expected a number, or a list of them, got ('a',)"),
        ({"channels": "CMYK"}, "preprocess.channels: expected 'RGB', 'BGR' or 'L', got 'CMYK'"),
        ({"interpolation": "lanczos"}, "preprocess.interpolation: expected 'nearest', 'bilinear'"),
    ],
)
def test_a_table_with_a_wrong_entry_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Preprocess.from_dict(settings)


@pytest.mark.parametrize(
    ("image", "got"),
    [
        (np.zeros((4, 4), np.uint8), "uint8 4x4"),
        (np.zeros((4, 4, 1), np.uint8), "uint8 4x4x1"),
        (np.zeros((3, 4, 4), np.uint8), "uint8 3x4x4"),
        (np.zeros((4, 4, 3), np.float32), "float32 4x4x3"),
    ],
)
def test_an_image_of_another_shape_or_kind_is_refused(image: np.ndarray, got: str) -> None:
    with pytest.raises(
        ShapeError, match=f"expected uint8 height x width x 3 .*got {got}. Set channels"
    ):
        Preprocess()(image)


def test_settings_survive_toml() -> None:
    settings = Preprocess(size=(4, 6), crop=0.5, mean=(1.0, 2.0, 3.0), channels="BGR", scale=1.0)
    text = "\n".join(f"{key} = {value!r}" for key, value in settings.to_dict().items())
    assert Preprocess.from_dict(tomllib.loads(text)) == settings


def test_one_number_stands_for_all_channels_in_a_table() -> None:
    assert Preprocess.from_dict({"mean": 2, "std": [4]}) == Preprocess(mean=(2,), std=(4,))


def test_values_are_scaled_then_shifted_then_divided_per_channel() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    out = Preprocess(scale=0.5, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))(image)
    assert out.flatten().tolist() == [4.0, 4.0, 3.0]
    assert out.shape == (3, 1, 1)
    assert out.dtype == torch.float32


def test_bgr_turns_the_channels_before_the_mean_is_taken_off() -> None:
    image = np.array([[[10, 20, 30]]], np.uint8)
    out = Preprocess(scale=1.0, mean=(1.0, 2.0, 3.0), channels="BGR")(image)
    assert out.flatten().tolist() == [29.0, 18.0, 7.0]


def test_the_stored_image_is_not_changed() -> None:
    image = pictures(1, 4, 4)[0]
    before = image.copy()
    Preprocess(scale=1.0, mean=(1.0,))(image)
    assert (image == before).all()


def test_the_crop_is_a_centred_square_of_the_shorter_side() -> None:
    image = np.arange(4 * 8, dtype=np.uint8).reshape(4, 8, 1)
    out = Preprocess(channels="L", crop=0.5, scale=1.0)(image)
    assert out.tolist() == [[[11.0, 12.0], [19.0, 20.0]]]


def test_without_crop_the_whole_image_is_stretched() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, 2:] = 200
    out = Preprocess(size=(2, 2), interpolation="nearest", scale=1.0)(image)
    assert out[0].tolist() == [[0.0, 200.0], [0.0, 200.0]]


def test_imagenet_evaluation_equals_torchvision() -> None:
    transforms = torchvision().transforms
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    image = pictures(1, 256, 256)[0]
    theirs = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )(Image.fromarray(image))
    ours = Preprocess(size=224, crop=0.875, mean=mean, std=std)(image)
    torch.testing.assert_close(
        ours, theirs, rtol=0, atol=1e-6
    )  # v * (1/255) and v / 255 round apart


@pytest.mark.parametrize("channels", ["RGB", "L"])
def test_resizing_is_pillows_bilinear(channels: str) -> None:
    image = pictures(1, 10, 12, len(channels))[0]
    theirs = np.asarray(Image.fromarray(image.squeeze()).resize((5, 7), Image.Resampling.BILINEAR))
    ours = Preprocess(size=(7, 5), scale=1.0, channels=channels)(image)
    assert (ours.permute(1, 2, 0).squeeze().numpy() == theirs).all()


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    assert Preprocess()(pictures(1, 4, 4)[0]).shape == (3, 4, 4)
    with pytest.raises(
        ConfigError, match=re.escape("Pillow: expected to be installed, got no such module")
    ):
        Preprocess(size=2)(pictures(1, 4, 4)[0])
