# SPDX-License-Identifier: Apache-2.0
"""Three processes measure what one would, to the last integer; one error for all."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import spikewright as sw
from spikewright import processes
from spikewright.cli.items import part
from spikewright.errors import CalibrationError, SpikewrightError
from spikewright.evaluation import Result, gather
from spikewright.processes import ProcessError

ROOT = Path(__file__).parents[3]
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3")
SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.unit.evaluation import test_processes as test

test.part_of_three(Path(sys.argv[1]))
"""
# Name of the method, number of inputs: 7 inputs in batches of 2 make shares of 3, 2 and 2, so of
# two batches and of one; of 2 inputs the third process gets none.
CASES = [("spikeconverter", 7), ("casc", 7), ("casc", 2)]


class Double(nn.Module):
    """A network in double precision: no decision turns with the order of its sums."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x.double())
        return scores


def inputs() -> Tensor:
    return torch.randn(32, 2, 8, 8, generator=torch.Generator().manual_seed(1))


@functools.cache
def networks(method: str, folder: Path | None = None) -> tuple[sw.SpikingNetwork, nn.Module]:
    """An integer network, since floats would be summed in another order in other batches.

    It is read from the folder, if one is given.
    """
    torch.manual_seed(1)
    layers: list[nn.Module] = [nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
    layers += [nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)]
    model = nn.Sequential(*layers)
    if folder is not None:
        return sw.load(folder / f"{method}.safetensors"), Double(model)
    snn = sw.convert(model, method, T=8, calibration=inputs())
    return snn.to_integer(), Double(model)


def measured(method: str, length: int, folder: Path | None = None) -> Result | None:
    """What this process finds on its share of the inputs."""
    items = part(TensorDataset(inputs()[:length], torch.arange(length) % 3))
    if items is None:
        return None
    snn, reference = networks(method, folder)
    return sw.evaluate(snn, DataLoader(items, 2), reference=reference)


def told(error: BaseException) -> list[str]:
    return [type(error).__name__, str(error)]


def failed(number: int) -> list[str]:
    """What a process hears when some others fail."""
    try:
        with processes.one_error():
            if processes.rank() >= number:
                raise CalibrationError(f"batch {number}: expected numbers.")
    except SpikewrightError as error:
        return told(error)
    raise AssertionError("nobody heard of the error")


def part_of_three(folder: Path) -> None:
    """What each of the three processes does."""
    with processes.joined(torch.device("cpu"), timedelta(seconds=120)):
        results = [gather(measured(*case, folder)) for case in CASES]
        facts: dict[str, Any] = {
            "results": [None if found is None else found.to_dict() for found in results],
            "nothing": gather(None),
            "shares": processes.exchange(list(processes.shard(TensorDataset(torch.arange(7))))),
            "all": failed(0),
            "some": failed(1),
        }
        (folder / f"{processes.rank()}.json").write_text(json.dumps(facts, default=float))


def launched(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Start a script in three processes."""
    file = folder / "script.py"
    file.write_text(script)
    return subprocess.run(
        [sys.executable, *LAUNCHER, str(file), str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_three_processes_measure_what_one_measures(tmp_path: Path) -> None:
    for method in {method for method, _ in CASES}:
        networks(method)[0].save(tmp_path / f"{method}.safetensors")
    done = launched(SCRIPT, tmp_path)
    assert done.returncode == 0, done.stderr
    first, *others = (json.loads((tmp_path / f"{i}.json").read_text()) for i in range(3))
    assert others == [first, first]
    for found, (method, length) in zip(first["results"], CASES, strict=True):
        alone = measured(method, length)
        assert alone is not None
        assert found == json.loads(alone.to_json())
        counts = alone.lengths[0]
        assert counts.samples == counts.compared == alone.reference_samples == length
        assert sum(counts.at_rest) == (length if method == "casc" else 0)
    assert first["nothing"] is None
    shares = [[x for (x,) in share] for share in first["shares"]]
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    assert first["all"] == ["CalibrationError", "batch 0: expected numbers."]
    assert first["some"] == ["CalibrationError", "process 1 of 3: batch 1: expected numbers."]


# The limit holds for the meeting, too: it leaves room for processes that start slowly.
HANGS = """
import sys, time, torch
from datetime import timedelta
from pathlib import Path
from spikewright import processes

with processes.joined(torch.device("cpu"), timedelta(seconds=8)):
    try:
        if processes.rank() == 2:
            time.sleep(300)  # torchrun ends it with the others
        else:
            processes.exchange(None)
    except processes.ProcessError as error:
        Path(sys.argv[1], f"{processes.rank()}.txt").write_text(f"{error.rank} {error}")
        raise
"""


@pytest.mark.slow
def test_a_process_that_hangs_is_given_up(tmp_path: Path) -> None:
    launched(HANGS, tmp_path)
    text = "of 3 died or cannot be reached; nothing was written. Start it again."
    # A limit that has passed ends the connections of the first process to all others, too.
    found = [(tmp_path / f"{i}.txt").read_text() for i in range(2)]
    assert found == [f"2 process 2 {text}", f"0 process 0 {text}"]


def test_alone_nothing_changes() -> None:
    result = measured("spikeconverter", 2)
    assert gather(result) is result
    assert gather(None) is None
    assert part(TensorDataset(torch.zeros(0, 2))) is None
    before = signal.getsignal(signal.SIGTERM)
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught, processes.one_error():
        raise error
    assert caught.value is error
    with processes.stoppable():
        assert signal.getsignal(signal.SIGTERM) is before


def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process believe that it is the first of two."""
    monkeypatch.setattr("spikewright.processes._several", lambda: True)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)


def test_sigterm_is_an_error_and_then_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    several(monkeypatch)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with processes.stoppable():
            pass
        assert signal.getsignal(signal.SIGTERM) is before
        told_to_stop = pytest.raises(ProcessError, match="process 0 of 2 was told to stop")
        with told_to_stop, processes.stoppable():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # torchrun may send it while the error is printed
    finally:
        signal.signal(signal.SIGTERM, before)


def test_signals_wait_for_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    several(monkeypatch)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def receive(box: list[Any], _: int) -> None:
        signal.raise_signal(number)
        time.sleep(0.01)
        box[0] = "theirs"

    monkeypatch.setattr("torch.distributed.recv_object_list", receive)
    monkeypatch.setattr("torch.distributed.send_object_list", lambda *_: None)
    number = signal.SIGINT
    assert processes.exchange("mine") == ["mine", "theirs"]
    number = signal.SIGTERM
    try:
        with pytest.raises(ProcessError, match="SIGTERM"), processes.stoppable():
            processes.exchange("mine")
    finally:
        signal.signal(signal.SIGTERM, before[1])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
