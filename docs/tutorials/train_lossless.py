# SPDX-License-Identifier: Apache-2.0
"""Train for lossless conversion.

A conversion approximates: a train of T steps has few levels, and a trained network
has values between them. If the network is trained with activations that have
exactly these levels, nothing is left to approximate. This page trains such a
network and shows that its spiking form computes the same.
"""

# %% [markdown]
# ## A network that is trained already

# %%
import torch

import spikewright as sw
from spikewright.data import load_digits, loader
from spikewright.models import digits_cnn
from spikewright.training import TrainConfig

scans, test_scans = load_digits("train"), load_digits("test")
calibration = [x for x, _ in loader(scans, 64, limit=256)]
settings = TrainConfig(epochs=6, batch_size=64, lr=0.05, warmup=0.5)
torch.manual_seed(0)
model = digits_cnn()
model.load_state_dict(
    sw.train(model, scans, activation="relu", config=settings).model.weights()
)

# %% [markdown]
# ## Fine-tune it with levels
#
# `activation="casc"` replaces each ReLU by a staircase with Q = `levels` steps, a =
# θ·clip(floor(Q·x/θ)/Q, 0, 1). The calibration data say where its top θ is. A short
# fine-tuning lets the weights get used to it. The given model is not changed.

# %%
LEVELS = 4
tuned = sw.train(
    model,
    scans,
    activation="casc",
    levels=LEVELS,
    calibration=calibration,
    config=TrainConfig(epochs=4, batch_size=64, lr=0.01, warmup=0.5),
)
for epoch in tuned.history:
    print(f"epoch {epoch.epoch}: {epoch.accuracy:.2f} % of the training scans")

# %% [markdown]
# ## Convert
#
# The method `casc` reads the staircases off the network: T = Q awake steps, then
# steps asleep in which the input is off and neurons correct each other until
# nothing moves any more.
#
# "Without loss" is a statement about numbers, so the network is put into double
# precision. In single precision ANN and SNN add up in different orders, and a value
# on the edge of a level may fall on either side.

# %%
exact = tuned.model.double()
snn = sw.convert(
    exact, "casc", T=LEVELS, calibration=[x.double() for x in calibration]
)
batches = [(x.double(), y) for x, y in loader(test_scans, 64)]
result = sw.evaluate(snn, batches, reference=exact)
print(result.table())

# %% [markdown]
# The last rows are the state of rest. There the spiking network decides as the
# trained one on every input:

# %%
length = result.at(LEVELS)
assert length.agreement() == 1.0
assert result.accuracy == result.reference_accuracy

# %% [markdown]
# ## Not the decisions alone: every total
#
# Equal decisions may be luck. The outputs are equal as well, up to the last digits
# of a sum in double precision:

# %%
x = torch.cat([x for x, _ in batches])
with torch.no_grad():
    difference = (snn(x) - exact(x)).abs().max()
print(f"largest difference of any output: below 1e-9 is {bool(difference < 1e-9)}")
assert difference < 1e-9

# %% [markdown]
# The same holds tick by tick. The reference simulator knows nothing of closed
# forms, it runs every tick:

# %%
stepped = sw.simulate(snn, x[:64], simulator="reference")
with torch.no_grad():
    assert torch.allclose(stepped, exact(x[:64]), rtol=0, atol=1e-9)
print(sw.verify(snn, x[:32]).table())

# %% [markdown]
# ## What would the same T do without training?
#
# The original network at the same T, by methods that need no training:

# %%
plain = sw.calibrate(model, calibration)
test = list(loader(test_scans, 64))
print(f"{'method':15s}{'accuracy':>10s}{'as its ANN':>12s}{'ticks':>7s}")
for method in ("rueckauer", "burst", "casc", "spikeconverter"):
    found = sw.evaluate(sw.convert(plain, method, T=LEVELS), test, reference=model)
    at = found.at(LEVELS)
    share, same = 100 * at.accuracy(), 100 * at.agreement()
    print(f"{method:15s}{share:10.2f}{same:12.2f}{at.most_ticks:7d}")
at = result.at(LEVELS)
share, same = 100 * at.accuracy(), 100 * at.agreement()
print(f"{'casc, trained':15s}{share:10.2f}{same:12.2f}{at.most_ticks:7d}")

# %% [markdown]
# Four steps are too few for a rate code without training. `spikeconverter` has 16
# values in four steps, but waits for whole trains, layer by layer. The trained
# network is the one that loses nothing: whatever its accuracy is, the spiking
# network has the same. The price is training, and the accuracy that a network with
# so few levels can reach.
#
# ## Where to go next
#
# - [Training for conversion](../training.md): other activations, checkpoints,
#   resuming, several processes.
# - [CASC on a
#   ResNet-20](../results.md#casc-trained-for-conversion-converted-without-loss): 94
#   million totals, all equal.
# - [What does it cost](cost.py): fewer levels need fewer spikes.
