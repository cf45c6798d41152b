# SPDX-License-Identifier: Apache-2.0
"""Your own neuron and method.

A neuron is one file and a method is one file. They live in a package of yours;
nothing in Spikewright is edited. This page adds a neuron that must rest for one
step after each spike, sees what that breaks, and mends it with a method.
"""

# %% [markdown]
# ## The neuron
#
# A neuron gives its name, the initial value of each state, and `step_`, which
# overwrites the state that it is handed. It keeps nothing itself, so every run
# starts fresh.
#
# ```python title="my_spikes/resting_if.py"
# --8<-- "tutorials/my-spikes/my_spikes/resting_if.py"
# ```
#
# ## The method
#
# A resting neuron sends at most every other step, so half of a full train is its
# largest value. The method makes room: it doubles the scale λ of every population,
# the value that a full train stands for. All other settings (`T`, `scale`, `input`,
# `pool`, …) and the conversion itself are inherited.
#
# ```python title="my_spikes/resting.py"
# --8<-- "tutorials/my-spikes/my_spikes/resting.py"
# ```
#
# ## The package
#
# Two entry points say where they are.
#
# ```toml title="pyproject.toml"
# --8<-- "tutorials/my-spikes/pyproject.toml"
# ```
#
# You would now run `pip install -e my-spikes`. So that this page runs without
# changing what is installed, it does what pip does: it writes the entry points to a
# folder of its own and puts both folders where Python looks for packages.

# %%
import importlib
import itertools
import sys
import tomllib
from pathlib import Path

package = Path(__file__).parent / "my-spikes"
project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
info = Path("spikewright-tutorial/installed/my_spikes-1.0.dist-info").resolve()
info.mkdir(parents=True, exist_ok=True)
(info / "METADATA").write_text(
    "Metadata-Version: 2.4\nName: my-spikes\nVersion: 1.0\n"
)
lines = []
for group, entries in project["entry-points"].items():
    lines += [
        f"[{group}]",
        *(f"{name} = {value}" for name, value in entries.items()),
    ]
(info / "entry_points.txt").write_text("\n".join(lines) + "\n")
sys.path[:0] = [str(package), str(info.parent)]
importlib.invalidate_caches()

# %% [markdown]
# ## Look at the neuron alone
#
# A current of 0.75 of the threshold would make an ordinary neuron fire three times
# in four steps:

# %%
import torch

from spikewright.neurons import Firing, stepping

neuron, firing = stepping("resting-if"), Firing(threshold=1.0)
current = torch.full((1, 1), 0.75)
state, train = neuron.begin(current, firing), []
for _ in range(8):
    spikes = neuron.step_(state, current, firing, out=torch.empty(1, 1))
    train.append(int(spikes))
print(train, "charge left:", state["v"].item())
assert all(a * b == 0 for a, b in itertools.pairwise(train))

# %% [markdown]
# The charge that could not leave is still there. A larger current than half a
# threshold a step piles up.
#
# ## Convert with it
#
# The method is called by its name, like all others. `room=1` is the method without
# what it adds.

# %%
import spikewright as sw
from spikewright.data import load_digits, loader
from spikewright.models import digits_cnn
from spikewright.training import TrainConfig

scans, test = load_digits("train"), list(loader(load_digits("test"), 64, limit=256))
settings = TrainConfig(epochs=6, batch_size=64, lr=0.05, warmup=0.5)
torch.manual_seed(0)
model = sw.train(digits_cnn(), scans, activation="relu", config=settings).model
prepared = sw.calibrate(model, loader(scans, 64, limit=256))

for room in (1.0, 2.0):
    snn = sw.convert(prepared, "resting", room=room, T=64)
    result = sw.evaluate(snn, test, reference=model)
    at = result.at(64)
    for t in (16, 32, 64):
        print(f"room {room:g}, step {t:2d}: {100 * at.accuracy(t):6.2f} %")
print(f"ANN: {100 * result.reference_accuracy:.2f} %")

# %% [markdown]
# ## Everything else comes with it
#
# The simulators, `verify`, `diagnose`, `compare`, files and reports know nothing of
# this neuron, and need not. Where does the error arise with `room=1`, and where
# with `room=2`?

# %%
for room in (1.0, 2.0):
    snn = sw.convert(prepared, "resting", room=room, T=64)
    diagnosis = sw.diagnose(snn, test[:2])
    own = {
        each.name: each.own_snr_db
        for each in diagnosis.layers
        if each.own_snr_db is not None
    }
    print(
        f"room {room:g}, own dB:", {name: round(db, 1) for name, db in own.items()}
    )

# %%
print(sw.verify(snn, test[0][0][:16]).table())
snn.save("spikewright-tutorial/resting.safetensors")
again = sw.load("spikewright-tutorial/resting.safetensors")
assert torch.equal(again(test[0][0]), snn(test[0][0]))
print(again.neuron_name, again.provenance["method"])

# %%
comparison = sw.compare(
    model,
    ["rueckauer", "resting", "no-room=resting:room=1"],
    T=[32, 64],
    calibration=loader(scans, 64, limit=256),
    data=test,
)
print(comparison.table())

# %% [markdown]
# A saved network names its neurons. On a machine without your package `load`
# refuses the file and says what is missing.
#
# What a neuron must keep to, and what else a method may override: [A package of
# your own](../extending.md). A method that belongs into Spikewright itself is one
# file, too: see `CONTRIBUTING.md` in the repository.
