# SPDX-License-Identifier: Apache-2.0
"""Settings of a training run: what is refused, and the learning rate by hand."""

import json
import math
from typing import Any

import pytest

from spikewright.errors import ConfigError
from spikewright.training import ActivationSettings, TrainConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("accumulate", 0),
        ("lr", 0.0),
        ("lr", math.nan),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
        ("weight_decay", math.inf),
        ("warmup", -0.5),
        ("warmup", 101.0),
        ("label_smoothing", 1.0),
        ("ema", 1.0),
        ("clip_grad", 0.0),
        ("optimizer", "adam"),
        ("schedule", "step"),
        ("augment", "mixup"),
        ("precision", "float16"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_out_of_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"training\.{name}: expected .*, got {value!r}"):
        TrainConfig(**{name: value})


def test_nesterov_needs_momentum() -> None:
    with pytest.raises(ConfigError, match=r"training\.nesterov"):
        TrainConfig(nesterov=True, momentum=0.0)
    with pytest.raises(ConfigError, match=r"training\.nesterov"):
        TrainConfig(nesterov=True, optimizer="adamw")


def test_settings_go_through_json() -> None:
    config = TrainConfig(epochs=3, lr=0.02, ema=0.99, augment="crop-flip", warmup=0.5)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert TrainConfig.from_dict({"lr": 1}) == TrainConfig(lr=1)
    settings = ActivationSettings(activation="qcfs", levels=4, relays=False)
    assert ActivationSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"rate": 1}, "unknown rate. Known: .*lr"),
        ({"lr": "0.1"}, r"training\.lr: expected something like 0\.1, got '0\.1'"),
        ({"epochs": 1.5}, r"training\.epochs"),
        ({"epochs": True}, r"training\.epochs"),
        ({"nesterov": 1}, r"training\.nesterov"),
        ({"ema": "no"}, r"training\.ema"),
    ],
)
def test_a_dictionary_is_checked(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(data)


@pytest.mark.usefixtures("unchecked")
def test_activation_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="activation: expected 'casc' or"):
        ActivationSettings(activation="gelu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="levels: expected"):
        ActivationSettings(levels=0)
    with pytest.raises(ConfigError, match="unknown level"):
        ActivationSettings.from_dict({"level": 8})


def test_the_rate_rises_and_falls() -> None:
    config = TrainConfig(epochs=4, lr=0.4, warmup=1.0)
    rates = [config.rate(step, 10) for step in range(40)]
    assert rates[:10] == pytest.approx([0.04 * (i + 1) for i in range(10)])
    cosine = [0.2 * (1 + math.cos(math.pi * i / 30)) for i in range(30)]
    assert rates[10:] == pytest.approx(cosine)
    assert TrainConfig(epochs=4, lr=0.4, schedule="constant").rate(39, 10) == 0.4
    assert TrainConfig(epochs=1, warmup=1.0, lr=0.4).rate(9, 10) == pytest.approx(0.4)
