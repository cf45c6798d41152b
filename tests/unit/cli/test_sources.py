# SPDX-License-Identifier: Apache-2.0
"""Models and data behind the options: what they are, how they are cut down, what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikewright.cli.items import batches, describe, sample_shape, spread
from spikewright.cli.options import CalibrationOptions, DataOptions, ModelOptions
from spikewright.cli.sources import open_calibration, open_data, open_model, require_runs
from spikewright.cli.terminal import Terminal
from spikewright.data import ArraySet
from spikewright.errors import CalibrationError, ConfigError, ShapeError, SpikewrightError


@pytest.fixture
def floats(tmp_path: Path) -> str:
    path = tmp_path / "floats.npz"
    np.savez(path, x=np.arange(20, dtype=np.float32).reshape(10, 2), y=np.arange(10))
    return str(path)


def test_no_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--model: expected a model, got none"):
        open_model(ModelOptions(), Terminal())


def test_random_weights_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    open_model(ModelOptions(model="digits-cnn"), Terminal())
    assert capsys.readouterr().err == (
        "note: digits-cnn has random weights; give trained ones with --weights FILE.\n"
    )


def test_random_data_need_a_shape() -> None:
    with pytest.raises(ConfigError, match=r"--data random: expected the shape of an input"):
        open_data("random", "--data", DataOptions())


def test_random_data_are_the_same_every_time() -> None:
    first, second = (open_data("random", "--data", DataOptions(), shape=(2, 3)) for _ in range(2))
    assert torch.equal(first[7][0], second[7][0])
    assert not torch.equal(first[7][0], first[8][0])
    assert len(first[7]) == 1  # no label: accuracy means nothing here


def test_a_shape_that_is_not_wanted() -> None:
    message = "--data digits-test: expected inputs of shape 1,9,9 (from the network), got 1,8,8."
    with pytest.raises(ShapeError, match=re.escape(message)):
        open_data("digits-test", "--data", DataOptions(), shape=(1, 9, 9), shape_from="the network")


@pytest.mark.parametrize("spec", ["floats", "random"])
def test_inputs_as_they_are_cannot_be_preprocessed(floats: str, spec: str) -> None:
    with pytest.raises(ConfigError, match=r"expected no --size, --mean, because these data are in"):
        open_data(
            floats if spec == "floats" else spec,
            "--data",
            DataOptions(size=4, mean=(0.5,)),
            shape=(2,),
        )


def test_options_change_the_preprocessing_of_the_set() -> None:
    options = DataOptions(size=(4, 6), pixel_scale=0.5, mean=(1.0,), channels="grey")
    items = open_data("digits-test", "--data", options)
    assert sample_shape(items) == (1, 4, 6)
    assert describe(items)["preprocess"]["scale"] == 0.5
    assert describe(items)["preprocess"]["mean"] == [1.0]


def test_what_a_network_was_calibrated_with_wins_over_the_set_and_loses_to_options() -> None:
    recorded = {"channels": "L", "scale": 0.25, "mean": [2.0], "std": [3.0]}
    items = open_data("digits-test", "--data", DataOptions(mean=(4.0,)), recorded=recorded)
    found = describe(items)["preprocess"]
    assert (found["scale"], found["mean"], found["std"]) == (0.25, [4.0], [3.0])


def test_a_part_is_spread_over_the_whole_set() -> None:
    items = ArraySet("sorted", np.zeros((100, 1), np.float32), np.arange(100) // 10)
    labels = [y for _, y in spread(items, 20, "--limit")]
    assert labels == sorted(list(range(10)) * 2)
    assert describe(spread(items, 20, "--limit"))["samples"] == 20
    assert describe(spread(items, 20, "--limit"))["of"] == 100
    assert spread(items, 101, "--limit") is items
    assert spread(items, None, "--limit") is items


@pytest.mark.parametrize(("samples", "taken"), [(None, 512), (20, 20), (5000, 1352)])
def test_calibration_takes_512_inputs_or_as_many_as_are_asked_for(
    samples: int | None, taken: int
) -> None:
    options = CalibrationOptions(calibration="digits-train", calibration_samples=samples)
    found = describe(open_calibration(options, DataOptions(), None))
    assert (found["samples"], found["of"]) == (taken, 1352)


def test_calibration_needs_data() -> None:
    with pytest.raises(CalibrationError, match=r"--calibration: expected data .*, got none"):
        open_calibration(CalibrationOptions(), DataOptions(), None)
    options = CalibrationOptions(calibration="digits-train", calibration_samples=0)
    with pytest.raises(ConfigError, match="--calibration-samples: expected at least 1, got 0"):
        open_calibration(options, DataOptions(), None)


def test_a_part_of_nothing() -> None:
    with pytest.raises(ConfigError, match=r"--limit: expected at least 1, got 0"):
        spread(ArraySet("x", np.zeros((1, 1), np.float32), np.zeros(1, int)), 0, "--limit")


def test_batches_hold_what_the_options_say(floats: str) -> None:
    items = open_data(floats, "--data", DataOptions())
    assert [len(y) for _, y in batches(items, DataOptions(batch_size=4))] == [4, 4, 2]
    with pytest.raises(SpikewrightError, match=r"expected at least 1, got 0"):
        batches(items, DataOptions(batch_size=0))


def test_a_model_that_does_not_take_the_shape() -> None:
    with pytest.raises(ShapeError, match=r"--shape: expected a model and inputs that fit, got in"):
        require_runs(nn.Linear(3, 2), (4,))
    assert require_runs(nn.Linear(3, 2), (3,)).shape == (2, 2)
