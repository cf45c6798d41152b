# SPDX-License-Identifier: Apache-2.0
"""Training goes on where a converted network is."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import spikewright as sw
from spikewright.errors import ConfigError
from spikewright.simulators import settle
from spikewright.training import Imitation, TrainConfig, load_trained, train, trainable
from tests.unit.training.test_normalised import Added, Uneven, network, outputs


@pytest.mark.parametrize("kind", [Uneven, Added])
@pytest.mark.parametrize("options", [{"prepare": "refit"}, {"adapt": True}], ids=str)
def test_it_starts_with_what_spikes_settle_on(
    kind: type[nn.Module], options: dict[str, str]
) -> None:
    model, x = network(kind)
    snn = sw.convert(model, "casc", T=6, calibration=x, per_channel=True, **options)
    for own, settled in zip(outputs(trainable(snn), x), settle(snn, x).outputs, strict=True):
        assert torch.allclose(own, settled, rtol=0, atol=1e-12)


def test_what_was_trained_converts_without_loss_and_is_read_back(tmp_path: Path) -> None:
    model, x = network(Uneven)
    model, x = model.float(), x.float()
    snn = sw.convert(model, "casc", T=6, calibration=x, per_channel=True, prepare="bias")
    result = train(
        trainable(snn),
        TensorDataset(x),
        objective=Imitation(model),
        folder=tmp_path,
        config=TrainConfig(epochs=3, batch_size=6, lr=1e-3, optimizer="adamw"),
    )
    assert result.history[-1].loss < result.history[0].loss
    read = load_trained(tmp_path / "last.safetensors", model)
    for own, again in zip(outputs(result.model, x), outputs(read, x), strict=True):
        assert torch.equal(own, again)
    exact = read.double()
    again = sw.convert(exact, "casc", T=6, calibration=x.double())
    for own, settled in zip(
        outputs(exact, x.double()), settle(again, x.double()).outputs, strict=True
    ):
        assert torch.allclose(own, settled, rtol=0, atol=1e-12)


def test_only_a_network_with_levels_to_train_is_taken() -> None:
    model, x = network(Added)
    snn = sw.convert(model, "spikeconverter", T=4, calibration=x)
    with pytest.raises(ConfigError, match="expected a network converted by casc, got one with the"):
        trainable(snn)
    snn = sw.convert(model, "casc", T=4, calibration=x)
    trained = sw.convert(trainable(snn), "casc", T=4, calibration=x)
    for other in (trained, sw.convert(model, "casc", T=4, calibration=x, v_init=0.25)):
        with pytest.raises(ConfigError, match=r"were not trained and that starts at v_init=0\.5"):
            trainable(other)
