# SPDX-License-Identifier: Apache-2.0
"""Objectives: detectors learn, originals are imitated, and interrupted runs go on bit for bit."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from spikewright.detection import Annotations
from spikewright.errors import ConfigError, ShapeError
from spikewright.training import (
    Classification,
    Detection,
    Imitation,
    TrainConfig,
    TrainingResult,
    conversion_ready,
    load_trained,
    train,
)
from spikewright.training.objectives.imitation import relative_error
from spikewright.training.result import EpochRecord


class Squares(Dataset[tuple[Tensor, Annotations]]):
    """Pictures of 16 x 16 with one bright square of 4 or 6 pixels: class 0 or 1."""

    def __init__(self, count: int = 32) -> None:
        draw = torch.Generator().manual_seed(0)
        self.items = []
        for i in range(count):
            side = 4 + 2 * (i % 2)
            top, left = torch.randint(0, 17 - side, (2,), generator=draw).tolist()
            x = 0.1 * torch.rand(1, 16, 16, generator=draw)
            x[:, top : top + side, left : left + side] = 1.0
            box = torch.tensor([[left, top, left + side, top + side]]).float()
            self.items.append((x, Annotations(box, torch.tensor([i % 2]), (16, 16))))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Annotations]:
        return self.items[index]


class Tiny(nn.Module):
    """A detector of stride 4."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
            nn.MaxPool2d(2),
            *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()),
        )
        self.heads = nn.ModuleList(nn.Conv2d(16, c, 1) for c in (1, classes, 4))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.body(x)
        return tuple(head(x) for head in self.heads)


def detector(**sizes: int) -> nn.Module:
    torch.manual_seed(0)
    return Tiny(**sizes)


class Nested(nn.Module):
    """Outputs in a dict and a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = torch.relu(self.first(x))
        y = self.second(hidden)
        return {"all": y, "parts": (y[:, :2], hidden.sum(1))}


def nested() -> nn.Module:
    torch.manual_seed(1)
    return Nested()


def config(**changes: Any) -> TrainConfig:
    settings = {"epochs": 2, "batch_size": 8, "lr": 5e-3, "optimizer": "adamw", **changes}
    return TrainConfig(**settings)


def same(a: TrainingResult, b: TrainingResult) -> bool:
    other = b.model.state_dict()
    return all(torch.equal(v, other[k]) for k, v in a.model.state_dict().items())


# --- detection


def test_a_detector_learns() -> None:
    settings = config(epochs=30, lr=1e-2, augment="flip")
    result = train(
        detector(),
        Squares(),
        activation="relu",
        objective=Detection(stride=4),
        config=settings,
        validation=Squares(48),
    )
    first, last = result.history[0], result.history[-1]
    assert last.loss < first.loss / 3
    assert last.accuracy > 60  # overlap of squares with what their cells say
    assert last.validation is not None
    assert last.validation > 60


def test_a_score_of_ones_own_is_measured() -> None:
    seen: list[bool] = []

    def score(network: nn.Module) -> float:
        seen.append(network.training)
        return 12.5

    objective = Detection(stride=4, score=score)
    result = train(
        detector(), Squares(8), objective=objective, config=config(), validation=Squares(8)
    )
    assert [r.validation for r in result.history] == [12.5, 12.5]
    assert seen == [False, False]


def test_boxes_follow_mirrored_and_resized_pictures() -> None:
    """Whatever is done to the pictures, boxes stay around the bright squares."""
    objective = Detection(stride=4, sizes=(16, 32))
    items = objective.source(Squares(), "dataset")
    seen = set()
    for seed in range(4):
        torch.manual_seed(seed)
        x, objects = objective.draw(items, torch.arange(32), config(augment="flip"))
        seen.add(x.shape[2])
        for image, box in zip(objects.images, objects.boxes, strict=True):
            left, top, right, bottom = box.long().tolist()
            inside = x[image, 0, top:bottom, left:right]
            assert float(inside.mean()) > 0.8
            assert float(x[image].sum() - inside.sum()) < 0.2 * float(x[image].sum()) + 60
    assert seen == {16, 32}
    torch.manual_seed(0)
    flipped, _ = objective.draw(items, torch.arange(32), config(augment="flip"))
    torch.manual_seed(0)
    again, _ = objective.draw(items, torch.arange(32), config(augment="flip"))
    assert torch.equal(flipped, again)


# --- imitation


def test_the_error_is_relative_output_by_output() -> None:
    wanted = [torch.tensor([3.0, 4.0]), torch.tensor([[0.1]])]
    found = [torch.tensor([3.0, 5.0]), torch.tensor([[0.0]])]
    assert float(relative_error(found, wanted)) == pytest.approx(1 / 25 + 1)


@pytest.mark.parametrize("activation", ["casc", "qcfs"])
def test_imitation_brings_outputs_nearer(activation: Any) -> None:
    x = torch.randn(128, 3, generator=torch.Generator().manual_seed(0))
    model = nested().eval()
    ready = conversion_ready(model, x[:2], activation, 4, calibration=x)
    result = train(
        ready,
        TensorDataset(x),
        objective=Imitation(model),
        config=config(epochs=20),
        validation=TensorDataset(x),
    )
    wanted = model(x)
    wanted = [wanted["all"], *wanted["parts"]]
    with torch.no_grad():
        before, after = (float(relative_error(list(n(x)), wanted)) for n in (ready, result.model))
    assert after < 0.8 * before
    # The figure on the whole set is what the mean of its batches leaves of 1 per output.
    assert result.history[-1].validation == pytest.approx(100 * (1 - after / 3), abs=0.5)


@pytest.mark.parametrize("kind", ["tensor", "tuples", "labelled"])
def test_nothing_but_inputs_is_needed(kind: str) -> None:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    data: Any = {
        "tensor": x,
        "tuples": TensorDataset(x),
        "labelled": [(one, {"whatever": "it is"}) for one in x],
    }[kind]
    result = train(nested(), data, objective=Imitation(nested()), config=config())
    plain = train(nested(), TensorDataset(x), objective=Imitation(nested()), config=config())
    assert same(result, plain)
    assert result.history[-1].loss == plain.history[-1].loss


def test_batch_norms_keep_what_the_original_knows() -> None:
    model, x = detector().eval(), torch.rand(16, 1, 16, 16)
    result = train(model, x, objective=Imitation(model), config=config(augment="flip"))
    state, before = result.model.state_dict(), model.state_dict()
    for name in ("body.1.running_mean", "body.1.running_var", "body.1.num_batches_tracked"):
        assert torch.equal(state[name], before[name])
    assert not torch.equal(state["body.1.weight"], before["body.1.weight"])


def test_a_loss_of_ones_own_says_which_outputs_matter() -> None:
    x = torch.randn(128, 3, generator=torch.Generator().manual_seed(0))
    model = nested().eval()
    ready = conversion_ready(model, x[:2], "casc", 4, calibration=x)

    def first(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
        return (found[0] - wanted[0]).square().mean()

    objective = Imitation(model, loss=first)
    result = train(ready, TensorDataset(x), objective=objective, config=config(epochs=20))
    with torch.no_grad():
        wanted = [model(x)["all"], *model(x)["parts"]]
        before, after = (list(n(x)) for n in (ready, result.model))
    assert first(after, wanted) < 0.8 * first(before, wanted)
    assert result.history[0].loss == pytest.approx(float(first(before, wanted)), rel=0.5)
    assert "first" in str(objective.to_dict()["loss"])
    assert "loss" not in Imitation(model).to_dict()


def test_the_original_is_copied() -> None:
    model = nested().train()
    objective = Imitation(model)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    with torch.no_grad():
        model.first.weight.zero_()  # type: ignore[union-attr, operator]
    assert float(objective.original.first.weight.detach().abs().sum()) > 0  # type: ignore[union-attr, operator]


# --- both


def objective_and_data(name: str) -> tuple[nn.Module, Any, Any]:
    if name == "detection":
        return detector(), Squares(), Detection(stride=4, sizes=(16, 24))
    return detector(), Squares(), Imitation(detector(), sizes=(16, 24))


@pytest.mark.parametrize("name", ["detection", "imitation"])
def test_an_interrupted_run_goes_on_bit_for_bit(name: str, tmp_path: Path) -> None:
    model, data, objective = objective_and_data(name)
    settings = config(epochs=3, augment="flip", ema=0.9)

    def stop(record: EpochRecord) -> None:
        signal.raise_signal(signal.SIGINT)

    first = train(model, data, objective=objective, config=settings, folder=tmp_path, on_epoch=stop)
    assert first.interrupted
    rest = train(model, data, objective=objective, config=settings, folder=tmp_path)
    whole = train(model, data, objective=objective, config=settings)
    assert same(rest, whole)
    assert [r.loss for r in rest.history] == [r.loss for r in whole.history]
    loaded = load_trained(tmp_path / "last.safetensors", model)
    x = torch.rand(2, 1, 16, 16)
    for one, other in zip(loaded(x), whole.model(x), strict=True):
        assert torch.equal(one, other)


def test_a_run_of_another_objective_is_refused(tmp_path: Path) -> None:
    train(detector(), Squares(8), objective=Detection(stride=4), config=config(), folder=tmp_path)
    for other in (Detection(stride=4, sizes=(32,)), Imitation(detector())):
        with pytest.raises(ConfigError, match=r"got one with objective \{'name': 'detection'"):
            train(detector(), Squares(8), objective=other, config=config(), folder=tmp_path)


@pytest.mark.usefixtures("unchecked")
def test_misuse() -> None:
    scenes, x = Squares(8), torch.rand(8, 1, 16, 16)
    labelled = TensorDataset(x, torch.zeros(8, dtype=torch.long))
    with pytest.raises(ShapeError, match=r"Annotations\), got Tensor, Tensor"):
        train(detector(), labelled, objective=Detection(stride=4), config=config())
    settings = config(augment="crop-flip")
    with pytest.raises(ConfigError, match=r"expected 'none' or 'flip' for images with boxes"):
        train(detector(), scenes, objective=Detection(stride=4), config=settings)
    with pytest.raises(ShapeError, match=r"expected classes 0 to 0.*got 0 to 1"):
        train(detector(classes=1), scenes, objective=Detection(stride=4), config=config())
    with pytest.raises(ConfigError, match=r"sizes that are multiples of it.*\(18,\)"):
        Detection(stride=4, sizes=(18,))
    with pytest.raises(ConfigError, match=r"Imitation\.sizes: expected sides in whole pixels"):
        Imitation(nested(), sizes=(0,))
    with pytest.raises(ConfigError, match=r"original: expected a torch\.nn\.Module, got str"):
        Imitation("resnet20")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expected a float tensor, or a tuple that begins"):
        train(detector(), ["a"], objective=Imitation(detector()), config=config())  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"expected outputs of shapes .* as the original has"):
        train(detector(), x, objective=Imitation(detector(classes=5)), config=config())
    with pytest.raises(ShapeError, match=r"expected scores .*name another objective"):
        train(detector(), labelled, objective=Classification(), config=config())
