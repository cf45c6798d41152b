# SPDX-License-Identifier: Apache-2.0
"""Preprocess: refuses nonsense, agrees with torchvision's transforms and with arithmetic."""

import re
import sys
import tomllib
from typing import Any

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
        ({"fit": "cover"}, "preprocess.fit: expected 'stretch' or 'letterbox', got 'cover'"),
        ({"size": 8, "pad": 256}, "preprocess.pad: expected a whole number in 0..255, got 256"),
        (
            {"fit": "letterbox"},
            "preprocess.size: expected a height and width to letterbox to, got None",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_setting_out_of_range_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        Preprocess(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sise": 3}, "preprocess.keys: expected some of channels, crop, fit, interpolation,"),
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
        ({"fit": "cover"}, "preprocess.fit: expected 'stretch' or 'letterbox', got 'cover'"),
        ({"pad": 1.5}, "preprocess.pad: expected a whole number in 0..255, got 1.5"),
        ({"pad": True}, "got True"),
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


@pytest.mark.parametrize(
    "settings",
    [
        Preprocess(size=(4, 6), crop=0.5, mean=(1.0, 2.0, 3.0), channels="BGR", scale=1.0),
        Preprocess(size=8, fit="letterbox", pad=0),
    ],
)
def test_settings_survive_toml(settings: Preprocess) -> None:
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


def test_a_letterbox_is_the_whole_image_in_the_middle_of_grey() -> None:
    image = np.arange(2 * 4, dtype=np.uint8).reshape(2, 4, 1)
    out = Preprocess(channels="L", size=(5, 4), fit="letterbox", scale=1.0)(image)
    assert (out[0, [0, 3, 4]] == 114).all()
    assert (out[0, 1:3].numpy() == image[..., 0]).all()


@pytest.mark.parametrize(
    "shape", [(480, 640), (333, 500), (500, 333), (1, 999), (416, 416), (7, 5)]
)
@pytest.mark.parametrize("size", [(416, 416), (352, 640), (31, 33)])
def test_a_letterbox_is_where_yolo_puts_it(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """The arithmetic of Ultralytics' LetterBox: half of the ground, 0.1 taken off, rounded."""
    ratio = min(size[0] / shape[0], size[1] / shape[1])
    width, height = round(shape[1] * ratio), max(1, round(shape[0] * ratio))
    left, top = (round((size[i] - side) / 2 - 0.1) for i, side in ((1, width), (0, height)))
    settings = Preprocess(size=size, fit="letterbox", scale=1.0, pad=9)
    place = settings.placement(*shape)
    assert place.offset == (left, top)
    assert place.scale == (width / shape[1], height / shape[0])
    ink = settings(np.full((*shape, 3), 200, np.uint8))[0] == 200
    assert ink.sum() == width * height
    assert ink[top : top + height, left : left + width].all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": (30, 50)},
        {"size": (90, 50), "fit": "letterbox"},
        {"crop": 0.7},
        {"size": 60, "crop": 0.7},
        {"size": (60, 83), "crop": 0.7, "fit": "letterbox"},
    ],
)
def test_the_placement_leads_to_the_pixels_and_back(settings: dict[str, Any]) -> None:
    """A block of ink in the image is found in the input where the placement says it is."""
    image = np.zeros((41, 65, 1), np.uint8)
    image[14:26, 25:40] = 255
    box = torch.tensor([[25.0, 14.0, 40.0, 26.0]])
    preprocess = Preprocess(channels="L", pad=0, interpolation="nearest", **settings)
    place = preprocess.placement(41, 65)
    rows, columns = (preprocess(image)[0] > 0.5).nonzero(as_tuple=True)
    found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    inside = place.to_input(box)
    # Nearest takes a pixel whose centre is inside: its edge is at most half an input pixel away.
    torch.testing.assert_close(inside[0], torch.stack(found).float(), rtol=0, atol=0.5001)
    torch.testing.assert_close(place.to_image(inside), box, rtol=0, atol=1e-5)


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image", raising=False)
    assert Preprocess()(pictures(1, 4, 4)[0]).shape == (3, 4, 4)
    with pytest.raises(
        ConfigError, match=re.escape("Pillow: expected to be installed, got no such module")
    ):
        Preprocess(size=2)(pictures(1, 4, 4)[0])
