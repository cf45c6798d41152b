# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, touches nothing else, and every setting does what it says."""

import copy
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import spikewright as sw
from spikewright.errors import ConfigError, ShapeError, UnsupportedModuleError
from spikewright.training import TrainConfig, TrainingResult, conversion_ready, train
from spikewright.training.images import source
from spikewright.training.result import EpochRecord
from spikewright.training.run import Run
from tests.unit.training.nets import Residual, built


def rings(count: int = 240, seed: int = 0) -> TensorDataset:
    """Three classes told apart by their distance from the origin."""
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, torch.bucketize(x.norm(dim=1), torch.tensor([0.8, 1.5])))


def mlp(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
    )


def pictures(count: int = 40) -> TensorDataset:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(count, 2, 8, 8, generator=generator)
    return TensorDataset(x, torch.randint(3, (count,), generator=generator))


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(
        **{"epochs": 2, "batch_size": 16, "lr": 0.05, "label_smoothing": 0.0, **changes}
    )


def weights(result: TrainingResult) -> dict[str, Tensor]:
    return dict(result.model.state_dict())


def same(a: TrainingResult, b: TrainingResult) -> bool:
    return all(torch.equal(v, weights(b)[k]) for k, v in weights(a).items())


@pytest.mark.parametrize("activation", ["casc", "qcfs", "threshold-relu", "relu"])
def test_it_learns(activation: Any) -> None:
    settings = config(epochs=30, lr=0.1, momentum=0.9)
    result = sw.train(
        mlp(), rings(), activation=activation, levels=8, config=settings, validation=rings(seed=1)
    )
    last = result.history[-1]
    assert last.accuracy > 90  # a linear classifier cannot tell rings apart
    assert last.validation is not None
    assert last.validation > 80
    assert last.loss < result.history[0].loss
    assert not result.model.training
    assert len(result.table().splitlines()) == 32


def test_the_model_and_the_random_numbers_are_left_alone() -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    ready = conversion_ready(model, torch.zeros(2, 2))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train(model, rings(), config=config())
    train(ready, rings(), config=config())
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(torch.equal(before[k], ready.state_dict()[k]) for k in before)


def test_the_seed_decides() -> None:
    a, b = (train(mlp(), rings(), config=config()) for _ in range(2))
    assert same(a, b)
    assert not same(a, train(mlp(), rings(), config=config(seed=1)))


def test_a_step_is_that_of_the_optimizer() -> None:
    """One epoch of one batch against the update written out."""
    model = mlp()
    data = rings(16)
    settings = config(epochs=1, lr=0.3, weight_decay=0.01, label_smoothing=0.2, schedule="constant")
    result = train(model, data, activation="relu", config=settings)
    x, y = data.tensors
    loss = F.cross_entropy(model(x), y, label_smoothing=0.2)
    loss.backward()
    assert result.history[0].loss == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, p in model.named_parameters():
        assert p.grad is not None
        expected = p.detach() - 0.3 * (p.grad + 0.01 * p.detach())
        torch.testing.assert_close(weights(result)[name], expected)


def test_accumulated_batches_are_one_batch() -> None:
    data = rings(50)  # the last batch holds two images, and counts as two
    whole = train(mlp(), data, activation="relu", config=config(batch_size=32))
    parts = train(mlp(), data, activation="relu", config=config(batch_size=8, accumulate=4))
    for name, tensor in weights(whole).items():
        torch.testing.assert_close(weights(parts)[name], tensor, rtol=1e-4, atol=1e-6)
    assert parts.cost.steps == whole.cost.steps == 4
    assert parts.cost.images == 100


def test_the_gradient_is_held_to_its_limit() -> None:
    settings = config(epochs=1, momentum=0.0, weight_decay=0.0, schedule="constant", clip_grad=1e-3)
    model, data = mlp(), rings(16)
    result = train(model, data, activation="relu", config=settings)
    moved = [weights(result)[n] - p.detach() for n, p in model.named_parameters()]
    norm = torch.cat([m.flatten() for m in moved]).norm()
    assert float(norm) == pytest.approx(0.05 * 1e-3, rel=1e-2)


def test_the_average_follows_the_weights() -> None:
    """After n steps of decay d (less in the first steps) it is what the recursion gives."""
    seen: list[dict[str, Tensor]] = []
    model, data = mlp(), rings(64)
    settings = config(epochs=1, batch_size=16, ema=0.9)
    plain = config(epochs=1, batch_size=16)
    averaged = train(model, data, activation="relu", config=settings)
    expected = {n: p.detach().clone() for n, p in model.named_parameters()}

    class Watched(Run):
        def _follow(self) -> None:
            seen.append({n: p.detach().clone() for n, p in self.network.named_parameters()})
            super()._follow()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spikewright.training.fit.Run", Watched)
        train(model, data, activation="relu", config=plain)
    for number, after in enumerate(seen):
        decay = min(0.9, (1 + number) / (10 + number))
        expected = {n: decay * e + (1 - decay) * after[n] for n, e in expected.items()}
    assert len(seen) == 4
    for name, tensor in expected.items():
        torch.testing.assert_close(weights(averaged)[name], tensor)


def test_batch_norm_counts_its_batches_and_images_train() -> None:
    model, _ = built("residual")
    result = train(model, pictures(), config=config(augment="crop-flip"))
    before = model.state_dict()["bn1.num_batches_tracked"]
    assert weights(result)["bn1.num_batches_tracked"] == before + 6
    assert result.model.get_parameter("conv1.weight").is_contiguous()
    assert result.cost.images == 80


def test_bfloat16_trains_the_same_within_its_precision() -> None:
    model, _ = built("residual")
    a = train(model, pictures(), activation="relu", config=config(lr=0.01))
    b = train(model, pictures(), activation="relu", config=config(lr=0.01, precision="bfloat16"))
    assert not same(a, b)
    for name, tensor in weights(a).items():
        assert weights(b)[name].dtype == tensor.dtype
        # 8 bits of mantissa in every product, over 6 steps
        torch.testing.assert_close(weights(b)[name], tensor, rtol=0.05, atol=0.02)


def test_double_precision_stays_double() -> None:
    result = train(mlp().double(), rings(32), config=config(epochs=1))
    assert {t.dtype for t in weights(result).values()} == {torch.float64}


def test_adamw_moves_by_its_rate() -> None:
    """Adam's first step is lr·sign(gradient) where the gradient is far above its ε."""
    model = mlp()
    settings = config(epochs=1, optimizer="adamw", lr=0.01, weight_decay=0.0, schedule="constant")
    result = train(model, rings(16), activation="relu", config=settings)
    moved = (weights(result)["4.bias"] - model.state_dict()["4.bias"]).abs()
    torch.testing.assert_close(moved, torch.full((3,), 0.01), rtol=1e-3, atol=0.0)


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"expected a finite loss, got (nan|inf) in epoch"):
        train(mlp(), rings(), activation="relu", config=config(lr=1e20, epochs=5))


def test_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    records: list[EpochRecord] = []

    def stop(record: EpochRecord) -> None:
        records.append(record)
        if record.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    settings = config(epochs=4)
    result = train(mlp(), rings(), config=settings, folder=tmp_path, on_epoch=stop)
    assert result.interrupted
    assert [r.epoch for r in records] == [r.epoch for r in result.history] == [1, 2]
    again = train(mlp(), rings(), config=settings, folder=tmp_path, on_epoch=records.append)
    assert not again.interrupted
    assert [r.epoch for r in records] == [1, 2, 3, 4]
    assert same(again, train(mlp(), rings(), config=settings))
    assert again.cost.steps == 4 * 15


def test_a_trained_network_can_be_trained_on() -> None:
    first = train(mlp(), rings(), activation="qcfs", levels=4, config=config(epochs=5))
    more = train(first.model, rings(), config=config(epochs=1, lr=1e-3))
    assert more.model.settings == first.model.settings
    assert more.history[0].loss < first.history[0].loss
    for option in ({"activation": "casc"}, {"levels": 8}, {"calibration": [torch.zeros(1, 2)]}):
        with pytest.raises(ConfigError, match=f"expected no {next(iter(option))} for a network"):
            train(first.model, rings(), config=config(), **option)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked")
def test_misuse() -> None:
    frozen = mlp().requires_grad_(False)
    with pytest.raises(
        UnsupportedModuleError, match=r"ask for gradients, got none.*requires_grad_"
    ):
        train(frozen, rings(), config=config())
    other = TensorDataset(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ShapeError, match=r"validation: expected inputs of shape \(2,\), got \(3"):
        train(mlp(), rings(), config=config(), validation=other)
    with pytest.raises(ConfigError, match=r"model: expected a torch\.nn\.Module, got str"):
        train("resnet20", rings())  # type: ignore[arg-type]

    class Maps(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.conv1(x))

    with pytest.raises(ShapeError, match=r"expected scores \(batch, class\), got shape \(16, 6"):
        train(Maps(), pictures(), config=config())


def test_every_epoch_shows_all_images_once_in_another_order() -> None:
    network = conversion_ready(mlp(), torch.zeros(2, 2))
    going = Run(network, source(rings(50)), config(batch_size=8, accumulate=3))
    orders = []
    for _ in range(2):
        steps = going._order()
        assert [[len(b) for b in step] for step in steps] == [[8, 8, 8], [8, 8, 8], [2]]
        orders.append(torch.cat([b for step in steps for b in step]))
        assert sorted(orders[-1].tolist()) == list(range(50))
        going._epoch += 1
    assert not torch.equal(*orders)
    seeds = {
        going._seed(epoch, step, rank) for epoch in (0, 1) for step in (0, 1) for rank in (0, 1)
    }
    assert len(seeds) == 8
