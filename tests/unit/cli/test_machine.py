# SPDX-License-Identifier: Apache-2.0
"""Device and threads: refused before any work, set for one verb, put back after it."""

import os
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from spikewright import api
from spikewright.cli import machine
from spikewright.cli.app import build, option_names
from spikewright.cli.items import CPU, batches
from spikewright.cli.machine import MachineOptions, RunOptions, used
from spikewright.cli.networks import Subject, original, subject
from spikewright.cli.options import DataOptions, ModelOptions, NetworkOptions, ReferenceOptions
from spikewright.cli.sources import open_data, open_model, require_runs
from spikewright.cli.terminal import Terminal
from spikewright.errors import ConfigError
from spikewright.models import digits_cnn

RUNS_NETWORKS = {
    *("demo", "inspect", "convert", "evaluate", "compare", "diagnose", "verify", "train")
}
META = torch.device("meta")
"""Shapes without values: what lies there did not stay on the CPU."""


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "meta", "cpu:x"])
def test_devices_that_are_not_here(name: str) -> None:
    message = f"--device {name}: expected a device that computes here (cpu"
    with (
        pytest.raises(ConfigError, match=re.escape(message)),
        used({"how": RunOptions(machine=MachineOptions(device=name))}),
    ):
        pytest.fail("the verb must not begin")


@pytest.mark.parametrize("threads", [0, -1, 10**9])
def test_numbers_of_threads_that_cannot_be(threads: int) -> None:
    cores = os.cpu_count()
    message = f"--threads: expected 1 to {cores}, as many as this machine has cores, got {threads}."
    with (
        pytest.raises(ConfigError, match=re.escape(message)),
        used({"how": RunOptions(machine=MachineOptions(threads=threads))}),
    ):
        pytest.fail("the verb must not begin")


def test_threads_are_set_for_the_verb_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)
    before = torch.get_num_threads()
    options = MachineOptions(threads=before + 1)
    with used({"a": 1, "how": RunOptions(machine=options)}):
        assert torch.get_num_threads() == before + 1
        assert options.describe() == {"device": "cpu", "threads": before + 1}
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), used({"how": RunOptions(machine=options)}):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    with used({"how": RunOptions(machine=MachineOptions())}):
        assert torch.get_num_threads() == before


def test_the_machine_in_words() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert str(MachineOptions()) == "cpu, 1 thread"
        torch.set_num_threads(2)
        assert str(MachineOptions(device="cpu")) == "cpu, 2 threads"
    finally:
        torch.set_num_threads(before)


def test_a_process_of_several_takes_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[torch.device]()

    def ones(*_: object, device: torch.device, **__: object) -> torch.Tensor:
        asked.append(device)
        return torch.zeros(1)

    monkeypatch.setattr(torch, "ones", ones)
    monkeypatch.setenv("LOCAL_RANK", "3")
    for name, place in {"cuda": "cuda:3", "cuda:1": "cuda:1", "cpu": "cpu"}.items():
        assert MachineOptions(device=name).place == torch.device(place)
        assert asked[-1] == torch.device(place)
    monkeypatch.delenv("LOCAL_RANK")
    assert MachineOptions(device="cuda").place == torch.device("cuda")


def test_every_verb_that_runs_a_network_has_both_options() -> None:
    found = option_names(build())
    assert {verb for verb in found if {"device", "threads"} <= found[verb]} == RUNS_NETWORKS
    assert all("device" not in found[verb] for verb in set(found) - RUNS_NETWORKS)


def test_a_saved_network_lies_there(tmp_path: Path) -> None:
    network = api.convert(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), calibration=torch.rand(8, 3))
    network.save(tmp_path / "snn.safetensors")
    options = NetworkOptions(snn=tmp_path / "snn.safetensors")
    assert subject(options, Terminal(quiet=True), META).snn.device == META
    assert subject(options, Terminal(quiet=True), CPU).snn.device == CPU


def test_a_reference_lies_there() -> None:
    network = api.convert(digits_cnn(), calibration=torch.rand(8, 1, 8, 8), T=2)
    found = original(
        Subject(network), ReferenceOptions(reference="digits-cnn"), Terminal(quiet=True), META
    )
    assert found is not None
    assert {tensor.device for tensor in found.parameters()} == {META}


def test_models_and_inputs_lie_there_and_labels_stay() -> None:
    model = open_model(ModelOptions(model="digits-cnn"), Terminal(quiet=True), place=META)
    assert {tensor.device for tensor in model.state_dict().values()} == {META}
    assert require_runs(model, (1, 8, 8)).device == META
    items = open_data("digits-test", "--data", DataOptions())
    found = batches(items, DataOptions(batch_size=400), META)
    assert len(found) == 2
    for _ in range(2):  # it can be read again
        assert [(x.device.type, y.device.type, len(y)) for x, y in found] == [
            ("meta", "cpu", 400),
            ("meta", "cpu", 45),
        ]
