# SPDX-License-Identifier: Apache-2.0
"""What must hold for every random model, and a run over many of them.

    python -m tests.property.equality_laws --start 0 --count 5000

prints what fails with its seed, and how many models were refused and why.
"""

import argparse
import collections
import re
import time
import traceback
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import spikewright as sw
from spikewright.errors import ConfigError, UnsupportedModuleError
from spikewright.methods import configure
from spikewright.network.twin import twin_outputs
from tests.property.random_graphs import RandomModel, draw

TWIN = 2e-4
"""Allowed between twin and model, of the largest value of an output: float32 in another order."""

FINE = 0.05
"""Allowed between a network and its integers of 14 bits, of an output's norm."""

NEAR = {"spikeconverter": 0.02, "burst": 0.6, "casc": 0.6}
"""Allowed between spikes and model, of an output's norm, on inputs that calibration saw."""


@dataclass(frozen=True)
class Outcome:
    """What came of a model: ``refused`` says why, empty if it was converted."""

    refused: str = ""


def check(seed: int) -> Outcome:
    """Convert a random model and check every law on it.

    Raises:
        AssertionError: If the network does not compute the model.
    """
    model = draw(seed).eval()
    data = model.data(24, seed)
    method, T = "spikeconverter", 14 + seed % 3
    try:
        prepared = sw.calibrate(model, [data] if len(data) > 1 else data[0])
        options = {"input": "encoded"} if seed % 10 == 3 else {}
        snn = prepared.convert(configure(method, T=T, **options))
    except UnsupportedModuleError as error:
        return Outcome(str(error))
    fresh = [5, 3] if model.batchless else [5, 1]
    for batch in fresh:
        _equal_twin(model, snn, model.data(batch, seed + 1))
    few = tuple(x[:7] for x in data)
    _near(model, snn, few, NEAR[method])
    two = tuple(x[:2] for x in data)
    one = two if len(two) > 1 else two[0]
    if seed % 10 == 1:
        assert sw.verify(snn, one).agrees, "the simulators disagree"
    if seed % 10 == 2:
        sw.evaluate(snn, [one], counting=True)
    if seed % 20 == 4:
        _whole(snn, one)
    for other, steps in (("burst", 64), ("casc", 32)):
        if seed % 20 == {"burst": 5, "casc": 15}[other]:
            network = prepared.convert(configure(other, T=steps))
            _equal_twin(model, network, model.data(3, seed + 1))
            assert network(*few) is not None
    return Outcome()


def _leaves(out: object) -> list[Tensor]:
    return pytree.tree_leaves(out)


def _whole(snn: sw.SpikingNetwork, x: Tensor | tuple[Tensor, ...]) -> None:
    """Check that integers agree bit for bit, and that fine ones are near the network."""
    try:
        whole, fine = snn.to_integer(), snn.to_integer(weight_bits=14, input_bits=14)
    except ConfigError:
        return
    assert sw.verify(whole, x).agrees, "the simulators of the integer network disagree"
    given = x if isinstance(x, tuple) else (x,)
    for own, other in zip(_leaves(snn(*given)), _leaves(fine(*given)), strict=True):
        gap = float((own - other).norm() / own.norm().clamp(min=1e-3))
        assert gap < FINE, f"integers of 14 bits differ by {gap:.2g}"


def _equal_twin(model: RandomModel, snn: sw.SpikingNetwork, data: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        wanted, reach = _leaves(model(*data)), model.reach(*data)
    found = twin_outputs(snn, snn.check_input(data if len(data) > 1 else data[0]))
    assert len(wanted) == len(found)
    for own, other in zip(wanted, found, strict=True):
        assert own.shape == other.shape, f"shape {tuple(other.shape)}, not {tuple(own.shape)}"
        size = max(float(own.abs().max()), 0.01 * reach, 1e-6)
        gap = float((own - other).abs().max()) / size
        assert gap < TWIN, f"the twin differs by {gap:.2g} for a batch of {len(data[0])}"


def _near(
    model: RandomModel, snn: sw.SpikingNetwork, data: tuple[Tensor, ...], limit: float
) -> None:
    with torch.no_grad():
        wanted, reach = model(*data), model.reach(*data)
    found = snn(*data)
    assert pytree.tree_structure(found) == pytree.tree_structure(wanted), "nested otherwise"
    for own, other in zip(_leaves(wanted), _leaves(found), strict=True):
        assert own.shape == other.shape, f"shape {tuple(other.shape)}, not {tuple(own.shape)}"
        size = max(float(own.norm()), 0.1 * reach * own.numel() ** 0.5, 1e-6)
        gap = float((own - other).norm()) / size
        assert gap < limit, f"spikes differ by {gap:.2g}"


def main() -> None:
    """Check many models and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--show", action="store_true", help="print refusals and sources")
    options = parser.parse_args()
    refused: collections.Counter[str] = collections.Counter()
    steps: collections.Counter[str] = collections.Counter()
    failed: list[int] = []
    begin = time.monotonic()
    for i, seed in enumerate(range(options.start, options.start + options.count), 1):
        try:
            outcome = check(seed)
        except Exception as error:
            failed.append(seed)
            text = str(error).splitlines() or [""]
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
            print(f"seed {seed}: {type(error).__name__}: {text[0][:300]} [{place}]", flush=True)
            if options.show:
                print(draw(seed).source)
        else:
            steps.update(draw(seed).steps)
            if outcome.refused:
                lines = outcome.refused.splitlines()
                told = next((x for x in lines if x.startswith("  ")), lines[0])
                refused[re.sub(r"\(random_graph.*?\)|_?\d+", "", told)[:160]] += 1
                if options.show:
                    print(f"seed {seed} refused: {outcome.refused}\n{draw(seed).source}")
        if i % 50 == 0:
            took = time.monotonic() - begin
            print(
                f"{i} models, {took:.0f} s, {len(failed)} failed, {refused.total()} refused",
                flush=True,
            )
    print(
        f"seeds {options.start} to {options.start + options.count - 1}: {options.count} models, "
        f"{len(failed)} failed, {refused.total()} refused"
    )
    for reason, count in refused.most_common():
        print(f"  {count:4}  {reason}")
    print("steps of models that did not fail:", dict(steps.most_common()))
    if failed:
        raise SystemExit(f"failed: {failed}")


if __name__ == "__main__":
    main()
