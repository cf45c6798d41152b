# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a killed run goes on bit for bit, and no fault leaves less than was there."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from spikewright.errors import ConfigError, FileFormatError
from spikewright.training import TrainConfig, TrainingResult, load_trained, train
from spikewright.training.checkpoint import BEST, LAST, Checkpoint, read, write
from tests.unit.training.nets import Residual, built

# A run that is killed by itself, in the middle of an epoch, once a checkpoint is older than that.
SCRIPT = """
import os, signal, sys
import torch
from pathlib import Path
torch.set_num_threads(1)
from spikewright.training import run
from tests.unit.training import test_checkpoint as test

folder, stop = Path(sys.argv[1]), int(sys.argv[2])

class Killed(run.Run):
    def _update(self, batches, step, rate):
        super()._update(batches, step, rate)
        if self._steps + 1 == stop:
            os.kill(os.getpid(), signal.SIGKILL)

import spikewright.training.fit as fit
fit.Run = Killed
test.trained(folder, **eval(sys.argv[3]))
"""
STEPS = 5  # an epoch: 40 images in batches of 8


def pictures(seed: int = 3) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 2, 8, 8, generator=generator)
    return TensorDataset(x, torch.randint(3, (40,), generator=generator))


def trained(folder: Path | None, **changes: Any) -> TrainingResult:
    """Train with everything that has a state: momentum, average, batch norms, random crops."""
    options = {
        "epochs": 3,
        "batch_size": 8,
        "lr": 0.05,
        "ema": 0.9,
        "augment": "crop-flip",
        "clip_grad": 1.0,
        "warmup": 0.5,
    }
    config = TrainConfig(**{**options, **changes})
    return train(
        built("residual")[0],
        pictures(),
        activation="qcfs",
        levels=4,
        config=config,
        folder=folder,
        validation=pictures(4),
        save_seconds=0.0,
    )


def facts(**changes: Any) -> dict[str, Any]:
    """Say of a run what every checkpoint says."""
    counts = dict.fromkeys(("images", "processes", "epoch", "step", "steps", "seen"), 1)
    return {
        **counts,
        "config": {},
        "activation": {"activation": "casc", "levels": 4, "relays": True},
        "digest": "0",
        "input_shape": [None, 2, 8, 8],
        "seconds": 1.5,
        "epoch_seconds": 0.0,
        "sums": [0.0, 0.0, 0.0],
        "best": float("-inf"),
        "history": [],
        "note": {},
        **changes,
    }


def state(result: TrainingResult) -> dict[str, Tensor]:
    return dict(result.model.state_dict())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"optimizer": "adamw", "lr": 0.01, "accumulate": 2, "batch_size": 4}],
    ids=["adamw"],
)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Killed twice: in the middle of the first epoch, and of the second."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = trained(whole, **changes)
    root = Path(__file__).parents[3]
    for stop in (STEPS - 2, STEPS + 3):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(parts), str(stop), repr(changes)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == -9, done.stderr
        run = read(parts / LAST).run
        assert (run["epoch"], run["step"]) == divmod(stop - 1, STEPS)
    found = trained(parts, **changes)
    assert same(state(found), state(expected))
    for name in (LAST, BEST):
        assert same(load_file(parts / name), load_file(whole / name))

    def numbers(result: TrainingResult) -> list[tuple[Any, ...]]:
        return [(r.epoch, r.loss, r.accuracy, r.validation, r.lr) for r in result.history]

    assert numbers(found) == numbers(expected)
    assert (found.cost.steps, found.cost.images) == (expected.cost.steps, 3 * 40)


def test_a_finished_run_is_read_and_not_repeated(tmp_path: Path) -> None:
    first = trained(tmp_path)
    before = (tmp_path / LAST).stat().st_mtime_ns
    again = trained(tmp_path)
    assert same(state(again), state(first))
    assert again.cost == first.cost
    assert again.history == first.history
    assert (tmp_path / LAST).stat().st_mtime_ns == before


@pytest.mark.parametrize("name", [LAST, BEST])
def test_what_was_trained_can_be_loaded_into_the_original_model(tmp_path: Path, name: str) -> None:
    result = trained(tmp_path, epochs=1)
    model, x = built("residual")
    loaded = load_trained(tmp_path / name, model)
    assert same(dict(loaded.state_dict()), state(result))
    assert not loaded.training
    assert loaded.settings == result.model.settings
    with torch.no_grad():
        assert torch.equal(loaded(x), result.model(x))


def test_the_best_is_that_of_the_highest_validation(tmp_path: Path) -> None:
    result = trained(tmp_path, epochs=4)
    scores = [r.validation for r in result.history]
    run = read(tmp_path / BEST).run
    assert run["epoch"] == scores.index(max(s for s in scores if s is not None)) + 1
    assert read(tmp_path / LAST).run["epoch"] == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": 0.1}, r"got one with lr 0\.05, not 0\.1\. Name another folder"),
        ({"epochs": 5, "seed": 3}, r"epochs 1, not 5; seed 0, not 3"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    trained(tmp_path, epochs=1)
    before = (tmp_path / LAST).read_bytes()
    with pytest.raises(ConfigError, match=message):
        trained(tmp_path, **{"epochs": 1, **changes})
    assert (tmp_path / LAST).read_bytes() == before


def test_another_network_or_other_data_are_refused(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1)
    config = TrainConfig.from_dict(read(tmp_path / LAST).run["config"])
    other = Residual()
    other.pool = nn.MaxPool2d(2, stride=1)  # the same tensors, another computation
    options: dict[str, Any] = {
        "activation": "qcfs",
        "levels": 4,
        "config": config,
        "folder": tmp_path,
    }
    with pytest.raises(ConfigError, match="got one with another network"):
        train(other, pictures(), **options)
    with pytest.raises(ConfigError, match="levels 4, not 8"):
        train(Residual(), pictures(), **{**options, "levels": 8})
    fewer = TensorDataset(*(t[:30] for t in pictures().tensors))
    with pytest.raises(ConfigError, match="40 images, not 30"):
        train(Residual(), fewer, **options)
    with pytest.raises(FileFormatError, match="another whose tensors happen to fit"):
        load_trained(tmp_path / LAST, other)
    with pytest.raises(FileFormatError, match=r"missing: .*unexpected: "):
        load_trained(tmp_path / LAST, nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Flatten()))


def test_anew_replaces_what_is_there(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1)
    config = TrainConfig(epochs=1, batch_size=8)
    options: dict[str, Any] = {"config": config, "folder": tmp_path, "resume": False}
    result = train(built("residual")[0], pictures(), **options)
    assert result.cost.epochs == 1
    assert read(tmp_path / LAST).run["activation"]["activation"] == "casc"


@pytest.mark.parametrize("damage", ["half", "empty", "words", "weights", "missing"])
def test_a_damaged_checkpoint_is_an_error_that_says_so(tmp_path: Path, damage: str) -> None:
    trained(tmp_path, epochs=1)
    path = tmp_path / LAST
    content = path.read_bytes()
    if damage == "half":
        path.write_bytes(content[: len(content) // 2])
    elif damage in ("empty", "words"):
        path.write_bytes(b"" if damage == "empty" else b"no checkpoint, but long enough for one")
    elif damage == "weights":
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.unlink()
    with pytest.raises(FileFormatError, match=r"expected a (whole )?checkpoint"):
        load_trained(path, Residual())
    if damage != "missing":
        with pytest.raises(FileFormatError, match=r"expected a (whole )?checkpoint"):
            trained(tmp_path, epochs=1)


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    for folder in (tmp_path / "run", tmp_path / "run" / "deeper"):
        with pytest.raises(FileFormatError, match="could not make one"):
            trained(folder)
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.parametrize("name", [LAST, BEST])
def test_a_folder_in_place_of_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(FileFormatError, match=name):
        trained(tmp_path, epochs=1)
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """Files may not grow beyond half a checkpoint, as if that were all that is left."""
    trained(tmp_path, epochs=1)
    kept = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept[LAST]) // 2, hard))
    try:
        with pytest.raises(FileFormatError, match=r"could not be written .*Nothing was left"):
            train(
                built("residual")[0],
                pictures(),
                activation="qcfs",
                config=TrainConfig(epochs=1, batch_size=8),
                folder=tmp_path,
                resume=False,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == kept


def test_any_part_of_the_state_comes_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint(
        run=facts(epoch=2),
        model={"a.b": torch.randn(3, 4).T, "n": torch.tensor(3)},
        ema={"a.b": torch.zeros(4, 3)},
        optimizer={
            "momentum_buffer": {"a.b": torch.ones(4, 3)},
            "step": {"a.b": torch.tensor(7.0)},
        },
    )
    write(tmp_path / "c", checkpoint)
    back = read(tmp_path / "c")
    assert back.run == json.loads(json.dumps(checkpoint.run))
    for part in ("model", "ema"):
        assert same(dict(getattr(back, part)), dict(getattr(checkpoint, part)))
    assert same(dict(back.optimizer["step"]), dict(checkpoint.optimizer["step"]))
    assert back.optimizer.keys() == checkpoint.optimizer.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": None}, "seconds missing or of another kind"),
        ({"epoch": -1}, "epoch missing or of another kind"),
        ({"epoch": True}, "epoch missing or of another kind"),
        ({"note": []}, "note missing or of another kind"),
        ({"note": {"model": 7}}, "its model is no name"),
        ({"best": float("nan")}, "best missing or of another kind"),
        ({"sums": [1.0]}, "sums are not three numbers"),
        ({"history": [{}]}, "its history is none"),
        ({"input_shape": [None, 1 << 20, 1 << 20]}, "its inputs have no shape that can be"),
        ({"input_shape": [None, 0]}, "its inputs have no shape that can be"),
        ({"activation": {"levels": "4"}}, "a setting of its activations is of another kind"),
        ({"activation": {"levels": 1 << 30}}, "it has too many levels"),
    ],
)
def test_facts_that_no_run_has(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / LAST, Checkpoint(run=facts(**changes), model={"a": torch.zeros(1)}))
    with pytest.raises(FileFormatError, match=message):
        read(tmp_path / LAST)


@pytest.mark.parametrize("part", ["model", "ema", "optimizer"])
def test_tensors_of_another_run_are_not_gone_on_with(tmp_path: Path, part: str) -> None:
    trained(tmp_path, epochs=1)
    found = read(tmp_path / LAST)
    alien = {"alien": torch.zeros(3)}
    changed = {"model": found.model, "ema": found.ema, "optimizer": found.optimizer}
    changed[part] = {"momentum_buffer": alien} if part == "optimizer" else alien
    write(tmp_path / LAST, Checkpoint(run=found.run, **changed))
    with pytest.raises(FileFormatError, match="expected the tensors of this run, got others"):
        trained(tmp_path, epochs=1)
