# SPDX-License-Identifier: Apache-2.0
"""What does it cost.

A spiking network replaces multiply-adds by additions, and one pass by many ticks.
Whether that saves energy depends on what is counted and what it is compared with.
This page counts, prices, and asks where it would pay.
"""

# %% [markdown]
# ## Measure first

# %%
import torch

import spikewright as sw
from spikewright.data import load_digits, loader
from spikewright.models import digits_cnn
from spikewright.training import TrainConfig

scans, test_scans = load_digits("train"), load_digits("test")
settings = TrainConfig(epochs=6, batch_size=64, lr=0.05, warmup=0.5)
torch.manual_seed(0)
model = sw.train(digits_cnn(), scans, activation="relu", config=settings).model

snn = sw.convert(
    model, "spikeconverter", T=8, calibration=loader(scans, 64, limit=256)
)
result = sw.evaluate(
    snn, loader(test_scans, 64), reference=model, code_lengths=[3, 4, 6, 8]
)
print(result.table(layers=True))

# %% [markdown]
# The first table is the trade: a longer train is more exact, needs more spikes and
# more ticks. The last one says where the additions are. A convolution that reads
# the analog input keeps its multiply-adds ("MACs left"), once an input.
#
# ## Counts are not energy
#
# A price list turns counts into picojoules. There are several, and none is the
# truth, so all of them are used. The opponents are the original network in FP32 and
# the original **with equally many bits**: a train of T = 8 carries 8 bits, so the
# fair opponent multiplies 8-bit activations.

# %%
from spikewright.energy import choose_models, energy_of, verdict

measured = result.at(4)
energies = [energy_of(measured, prices) for prices in choose_models()]
bits = energies[0].bits
print(f"{'prices':14s}{'nJ':>8s}{'÷ FP32 ANN':>12s}{f'÷ {bits}-bit ANN':>13s}")
for energy in energies:
    fp32, equal = energy.ratio("fp32"), energy.ratio("quantised")
    name, nanojoules = energy.model.name, energy.total / 1000
    print(f"{name:14s}{nanojoules:8.1f}{fp32:12.2f}{equal:13.2f}")

# %% [markdown]
# A number above 1 means that the spiking network needs more. What that comes to, in
# three sentences:

# %%
print("\n".join(verdict(measured, result.reference_accuracy, energies)))

# %% [markdown]
# ## Where the energy goes
#
# Every part of a sum can be looked at. Only some of them become less when there are
# fewer spikes:

# %%
energy = next(e for e in energies if e.model.name == "int32")
for part, picojoules in sorted(energy.snn.items(), key=lambda item: -item[1]):
    print(f"{part:16s}{picojoules / 1000:8.2f} nJ")
share = energy.variable / energy.total
print(f"{100 * share:.0f} % of it is proportional to the spikes")

# %% [markdown]
# ## Where would it pay?
#
# `break_even` is the number of spikes a neuron at which both need the same. None
# means that even a silent network would need as much.

# %%
print(f"spikes a neuron now: {measured.spikes_per_neuron:.2f}")
for energy in energies:
    limit = energy.break_even("quantised")
    pays = "never" if limit is None else f"below {limit:.2f}"
    print(f"{energy.model.name:14s}{pays}")

# %% [markdown]
# ## Your own prices
#
# A price list is a TOML file. Write down what your chip's operations cost and price
# with it. A report takes such files, too, and lists the parts layer by layer:

# %%
from pathlib import Path

folder = Path("spikewright-tutorial")
folder.mkdir(exist_ok=True)
(folder / "mine.toml").write_text("""
title = "my chip, arithmetic only"
source = "its data sheet"
note = "Memory and transport are free."

[bits]
weight = 8
state = 16

[pj]
addition = 0.05
comparison = 0.05
shift = 0.02
factor = 0.4

[multiplication]
pj = 0.2
bits = 8
""")
(mine,) = choose_models([str(folder / "mine.toml")])
ratio = energy_of(measured, mine).ratio("quantised")
print(f"{mine.title}: {ratio:.2f} of the equally bitted ANN")
sw.write_report(
    result, folder / "cost.html", energy=[str(folder / "mine.toml"), "memory-int8"]
)

# %% [markdown]
# ## What to take home
#
# - Against FP32 almost everything looks cheap, because a FP32 multiply-add is dear.
#   Against equal bits less is left.
# - With memory counted, fetching weights and potentials for each spike outweighs
#   the arithmetic. Few spikes then matter more than cheap additions.
# - Shorter trains cost less: T = 3 above needs about a third of the additions of T
#   = 8. How short a train can be is a question of accuracy, and of
#   [training](train_lossless.py).
# - What is counted, and what is **not**, is on the page [What is
#   counted](../conventions.md#energy).
