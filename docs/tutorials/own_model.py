# SPDX-License-Identifier: Apache-2.0
"""Your own model in ten minutes.

You have a trained `torch.nn.Module` and tensors. This page turns the model into a
spiking network, measures both on the same inputs, proves that the result is right,
and saves it.
"""

# %% [markdown]
# ## A model and data
#
# Any module will do. This one is a small network for 8 × 8 scans of digits, written
# as you would write it, with batch norm, a shortcut and a max pool.

# %%
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MyNet(nn.Module):
    """Two convolutions, a shortcut around the second, a pool, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 24, 3, padding=1)
        self.norm = nn.BatchNorm2d(24)
        self.classify = nn.Linear(24 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map scans "batch 1 8 8" to scores "batch 10"."""
        x = F.relu(self.conv1(x))
        x = F.relu(x + self.norm(self.conv2(x)))
        return self.classify(F.max_pool2d(x, 2).flatten(1))


# %% [markdown]
# The inputs are plain tensors. The scans ship with the package; put your own
# tensors here, preprocessed as for training.

# %%
from spikewright.data import load_digits

scans, test_scans = list(load_digits("train")), list(load_digits("test"))
x_train, y_train = (
    torch.stack([x for x, _ in scans]),
    torch.tensor([y for _, y in scans]),
)
x_test, y_test = (
    torch.stack([x for x, _ in test_scans]),
    torch.tensor([y for _, y in test_scans]),
)
print(tuple(x_train.shape), tuple(x_test.shape))

# %% [markdown]
# Training is ordinary PyTorch. Nothing about it has to do with spikes. If your
# model is trained already, skip this.

# %%
torch.manual_seed(0)
model = MyNet()
optimiser = torch.optim.Adam(model.parameters(), lr=0.005)
for _ in range(8):
    for chosen in torch.randperm(len(x_train)).split(64):
        loss = F.cross_entropy(model(x_train[chosen]), y_train[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
model.eval()

# %% [markdown]
# ## What would become of it?
#
# `inspect` needs no data. It says what would spike, what would stay analog, and
# what cannot be taken.

# %%
import spikewright as sw

print(sw.inspect(model, x_test[:2]).table())

# %% [markdown]
# ## Convert
#
# A method needs to know how large the values of each layer are. A few hundred
# inputs are enough, and no labels. `T` is the number of time steps of a spike
# train. The model stays as it was.

# %%
snn = sw.convert(model, "spikeconverter", T=8, calibration=x_train[:256])
print(snn.summary())

# %% [markdown]
# The result is called like the model and returns what the model returns:

# %%
print(model(x_test[:3]).argmax(1).tolist(), snn(x_test[:3]).argmax(1).tolist())

# %% [markdown]
# ## Evaluate both on the same inputs
#
# `evaluate` takes batches of (input, label), a `DataLoader` for example. With
# `reference` the original runs on the same inputs. `code_lengths` converts again at
# other T from the same statistics.

# %%
batches = list(zip(x_test.split(100), y_test.split(100), strict=True))
result = sw.evaluate(
    snn, batches, reference=model, code_lengths=[4, 6, 8], examples=4
)
print(result.table())

# %% [markdown]
# The second table is the accuracy after every time step of the read-out, for T = 8.
# The most significant spikes come first, so early steps are rough and the last one
# is exact to a unit. The best step is never picked out. What is counted, and how,
# is on the page [What is counted](../conventions.md).
#
# ## Verify
#
# There are two simulators of the same network, one tick by tick and one fast.
# `verify` proves on your inputs that they fire the same spikes, and that the
# network with exact values computes your model.

# %%
verification = sw.verify(snn, x_test[:32])
print(verification.table())
assert verification.agrees

# %% [markdown]
# ## Save and load
#
# One safetensors file holds the network. Nothing in it is executed when it is read.

# %%
from pathlib import Path

folder = Path("spikewright-tutorial")
folder.mkdir(exist_ok=True)
snn.save(folder / "snn.safetensors")
again = sw.load(folder / "snn.safetensors")
assert torch.equal(again(x_test), snn(x_test))
print(again)

# %% [markdown]
# ## The report
#
# One HTML page with figures, prices and provenance, to read or to pass on. It needs
# no network. The file's ending decides the form: `.html`, `.md`, `.json` or `.csv`.
# The three sentences that stand on top of the page are returned.

# %%
verdict = sw.write_report(result, folder / "report.html")
print("\n".join(verdict))

# %% [markdown]
# <div class="report" markdown>
# ![The top of a report page: verdict and curves](../pictures/report.png)
# </div>
#
# (The picture shows the report of `spikewright demo`, which trains a larger
# network.)
#
# ## Where to go next
#
# - [Compare the papers' methods](compare_methods.py) on one checkpoint.
# - If T = 8 is not exact enough: [train for lossless
#   conversion](train_lossless.py).
# - If `inspect` refuses an operator, [What converts](../support.md) says why and
#   what to do.
