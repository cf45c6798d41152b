# SPDX-License-Identifier: Apache-2.0
"""Two processes train the network that one would train; in one process nothing changes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.data import TensorDataset

from spikewright.calibration import SiteObserver, Statistics
from spikewright.errors import CalibrationError
from spikewright.training import TrainConfig, processes, train
from spikewright.training.checkpoint import BEST, LAST
from tests.unit.training.nets import built

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.unit.training import test_processes as test

test.part_of_two(Path(sys.argv[1]))
"""


def pictures() -> TensorDataset:
    """43 images: neither batches nor shares of a batch come out even, and one batch has one."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(43, 2, 8, 8, generator=generator)
    return TensorDataset(x, torch.randint(3, (43,), generator=generator))


def calibration() -> list[torch.Tensor]:
    return list(pictures().tensors[0].split(9))


def trained(folder: Path) -> Any:
    config = TrainConfig(epochs=2, batch_size=14, lr=0.05, clip_grad=0.5, ema=0.9)
    return train(
        built("residual")[0].double(),
        pictures(),
        activation="qcfs",
        levels=4,
        config=config,
        folder=folder,
        validation=pictures(),
    )


def statistics(batches: list[torch.Tensor]) -> Statistics:
    observer = SiteObserver(1, signed=True)
    for batch in batches:
        observer.observe(batch)
    return Statistics({"input": observer}, sum(len(b) for b in batches))


def part_of_two(folder: Path) -> None:
    """What each of the two processes does."""
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank = processes.rank()
    merged = processes.merge_over_processes(statistics(calibration()[rank::2]))
    alone = processes.merge_over_processes(statistics(calibration()) if rank == 1 else None)
    result = trained(folder / "run")
    facts = {
        "digest": merged.digest(),
        "alone": alone.digest(),
        "history": [[r.loss, r.accuracy, r.validation] for r in result.history],
        "images": result.cost.images,
        "weights": float(sum(t.double().abs().sum() for t in result.model.state_dict().values())),
    }
    (folder / f"{rank}.json").write_text(json.dumps(facts))
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path: Path) -> None:
    script = tmp_path / "part.py"
    script.write_text(SCRIPT)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, str(script), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{i}.json").read_text()) for i in range(2))
    assert first == second
    expected = statistics(calibration()).digest()
    assert first["digest"] == first["alone"] == expected

    result = trained(tmp_path / "one")
    assert first["images"] == result.cost.images == 86
    for (loss, right, validation), record in zip(first["history"], result.history, strict=True):
        assert loss == pytest.approx(record.loss, rel=1e-9)
        assert (right, validation) == (record.accuracy, record.validation)
    for name in (LAST, BEST):
        mine, theirs = (load_file(tmp_path / part / name) for part in ("one", "run"))
        assert mine.keys() == theirs.keys()
        for key, tensor in mine.items():
            # Double precision rounds sums of some hundred numbers to 1e-14; 8 steps through batch
            # norms amplify that by far less than the 1e5 that is left.
            torch.testing.assert_close(theirs[key], tensor, rtol=1e-9, atol=1e-9)


def test_alone_nothing_changes() -> None:
    assert (processes.rank(), processes.count()) == (0, 1)
    chosen = torch.arange(5)
    assert torch.equal(processes.share(chosen), chosen)
    assert torch.equal(processes.total(chosen), chosen)
    seen = statistics(calibration())
    assert processes.merge_over_processes(seen).digest() == seen.digest()
    with pytest.raises(CalibrationError, match="expected at least one batch"):
        processes.merge_over_processes(None)


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4), (5, 3, 4, 2)])
def test_the_shared_batch_norm_is_that_of_torch(shape: tuple[int, ...]) -> None:
    """With one process its sums are the batch's own, so output, gradients and statistics agree."""
    x = torch.randn(shape, dtype=torch.float64) + 3.0
    mean, var = torch.rand(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    weight, bias = torch.rand(3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    cotangent = torch.randn(shape, dtype=torch.float64)
    found = []
    for own in (True, False):
        a, w, b = (t.clone().requires_grad_() for t in (x, weight, bias))
        m, v = mean.clone(), var.clone()
        if own:
            y = processes.batch_norm(a, m, v, w, b, 0.3, 1e-5)
        else:
            y = F.batch_norm(a, m, v, w, b, True, 0.3, 1e-5)
        (y * cotangent).sum().backward()
        found.append([y.detach(), a.grad, w.grad, b.grad, m, v])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    plain = processes.batch_norm(x, None, None, None, None, 0.1, 1e-5)
    torch.testing.assert_close(plain, F.batch_norm(x, None, None, training=True))
