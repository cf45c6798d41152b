# SPDX-License-Identifier: Apache-2.0
"""Run beside nir 1.0.4: what sinabs makes of an exported network, as JSON.

It imports samna, which starts pip by itself; that import is blocked.
"""

import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor

from tests.contract.nir_networks import Chain, T, exported, network, spikes

__all__ = ["compare"]


def compare() -> dict[str, dict[str, int]]:
    """Return how many spikes differ, as sinabs reads the file and with its IF as NIR says it."""
    sys.modules["samna"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    import nir
    import sinabs
    from sinabs.activation import SingleSpike
    from sinabs.layers import IAF

    snn, x = network(Chain)
    expected, y = spikes(snn, x)
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        written, path = exported(snn, Path(folder))
        for how in ("as read", "as said"):
            model = sinabs.from_nir(nir.read(path), batch_size=len(x))
            seen: dict[str, Tensor] = {}
            for name, module in model.named_modules():
                if isinstance(module, IAF):
                    if how == "as said":
                        module.min_v_mem, module.spike_fn = None, SingleSpike
                    module.register_forward_hook(
                        lambda _, __, out, name=name, seen=seen: seen.update(
                            {name.split(".")[-1]: out}
                        )
                    )
            with torch.no_grad():
                out = model(x.unsqueeze(1).expand(-1, T, -1, -1, -1).flatten(0, 1))
            out = out[0] if isinstance(out, tuple) else out
            differ = 0
            for name, population in written.manifest["populations"].items():
                train = seen[population["node"]].unflatten(0, (len(x), T)).transpose(0, 1)
                differ += int((train != expected[name]).sum())
            off = (out.unflatten(0, (len(x), T)).mean(1) - y).abs().max()
            sent = sum(int(train.sum()) for train in expected.values())
            found[how] = {"differ": differ, "sent": sent, "output": int(off > 1e-6)}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare()))
