# SPDX-License-Identifier: Apache-2.0
"""Compare the papers' methods.

Papers report on different networks and data, and count differently. Here all
methods get the same trained network, the same calibration data and the same test
inputs, and are counted in the same way.
"""

# %% [markdown]
# ## One checkpoint for all
#
# `digits_cnn` has convolutions with batch norm, a residual block and two max pools.
# `train` with `activation="relu"` is plain training.

# %%
import torch

import spikewright as sw
from spikewright.data import load_digits, loader
from spikewright.models import digits_cnn
from spikewright.training import TrainConfig

scans = load_digits("train")
calibration = loader(scans, 64, limit=256)
test = loader(load_digits("test"), 64, limit=256)
settings = TrainConfig(epochs=6, batch_size=64, lr=0.05, warmup=0.5)
torch.manual_seed(0)
model = sw.train(digits_cnn(), scans, activation="relu", config=settings).model

# %% [markdown]
# ## The comparison
#
# A method is written as text: its name, options after a colon, its own time steps
# after `@`, and a label before `=`. Methods without time steps of their own get
# those of `T`.
#
# - `rueckauer` normalises weights by a percentile of the activations; with
#   `reset=hard` (the row `hard`) a neuron starts from zero after a spike and
#   forgets what was left over.
# - `burst` lets a neuron send several spikes in a step.
# - `tsc` sends two events a value, "on" and "off".
# - `spikeconverter` gives spikes weights, most significant first. Eight steps hold
#   256 values.
# - `casc` goes on after the input is off, until every neuron is at rest.

# %%
comparison = sw.compare(
    model,
    [
        "hard=rueckauer:reset=hard",
        "rueckauer",
        "burst",
        "tsc@8,16",
        "spikeconverter@4,8",
        "casc@4,8",
    ],
    T=[8, 16, 32],
    calibration=calibration,
    data=test,
)
print(comparison.table())

# %% [markdown]
# ## How to read it
#
# - **T is not time.** A synchronous method decides after T ticks. A layered one
#   (`tsc`, `spikeconverter`) passes whole trains from layer to layer, so its
#   latency is T for each layer, and one more. The column `latency` has ticks from
#   input to decision.
# - **Additions are the work.** One spike that reaches one neuron through one
#   synapse is one addition. `÷ MACs` compares with the multiply-adds of the
#   original network.
# - **Accuracy is that of the last step,** never the best of all steps.
# - The second table says from which T on a method stays within one point or half a
#   point of the original.
#
# Rows are data, too. The quickest one that loses at most one point:

# %%
ann = comparison.ann.accuracy
good = [row for row in comparison.rows() if row.accuracy >= ann - 0.01]
quickest = min(good, key=lambda row: row.latency_ticks)
print(f"{quickest.label} at T={quickest.T}, after {quickest.latency_ticks} ticks")

# %% [markdown]
# Small networks on easy data are kind to every method. On a trained ResNet-20 the
# differences are larger: [Results](../results.md#methods-compared).
#
# ## Why is a method worse?
#
# `diagnose` splits each layer's error by cause, and says what to change. Take the
# hard reset:

# %%
snn = sw.convert(model, "rueckauer", reset="hard", T=32, calibration=calibration)
diagnosis = sw.diagnose(snn, test, limit=64)
print(diagnosis.table())

# %% [markdown]
# `sw.apply` converts again as a suggestion says, from the same statistics:

# %%
better = sw.apply(snn, diagnosis.suggestions[0])
before = sw.evaluate(snn, test).accuracy
after = sw.evaluate(better, test).accuracy
print(f"before: {100 * before:.2f} %")
print(f"with {diagnosis.suggestions[0].text}: {100 * after:.2f} %")

# %% [markdown]
# ## Files
#
# `comparison.to_csv("all.csv")` writes every step of every method,
# `comparison.figures("folder")` draws curves, and `write_report` makes the page.
# With `store="folder"` finished cells are kept, so that a longer comparison can be
# stopped and resumed. The command line has the same: `spikewright compare --methods
# rueckauer burst spikeconverter@4,8 …`.

# %%
from pathlib import Path

folder = Path("spikewright-tutorial")
folder.mkdir(exist_ok=True)
sw.write_report(comparison, folder / "comparison.html")
comparison.to_csv(folder / "comparison.csv")
