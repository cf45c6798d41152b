"""Replays an exported integer network tick by tick, with NumPy alone, and compares every bit.

python replay.py FOLDER: FOLDER was written by `spikewright export SNN --to vectors`. A value is an
array "sample step *shape" of whole numbers; float64 holds all of them exactly, for none reaches 2^53.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file


def rounded(op, t, x):
    """What the input becomes before the network: moved, multiplied in float64, rounded."""
    x = x.reshape(len(x), -1).astype(np.float64)
    if "index" in t:
        x = np.where(t["index"] < 0, 0, x[:, t["index"]])
    x = x.reshape(len(x), *op["shape"])
    for name in sorted(n for n in t if n.startswith("gain")):
        x = x * t[name]
    return np.rint(x) if op["kind"] == "input" else x


def fire(v, threshold, steps, signed):
    """T steps without input: who reaches the threshold fires, pays it, and what is left doubles."""
    train = []
    for _ in range(steps):
        threshold_now = threshold * 2.0 ** (steps - 1)
        spikes = (v >= threshold_now) * 1.0 - (signed * (v <= -threshold_now))
        v = 2 * (v - spikes * threshold_now)
        train.append(spikes)
    return np.stack(train, 1)


def total(x):
    """The number that a sequence stands for: it doubles, then the next step is added."""
    v = np.zeros_like(x[:, 0])
    for step in np.moveaxis(x, 1, 0):
        v = 2 * v + step
    return v


def windows(x, op, kernel, fill):
    """All windows of a map: "sample step channel row column window-row window-column"."""
    x = x.reshape(*x.shape[:2], *op["input"])
    x = np.pad(x, [(0, 0)] * 3 + op["padding"], constant_values=fill)
    (sy, sx), (dy, dx), (rows, columns) = op["stride"], op["dilation"], op["output"][1:]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, (dy, dx))]
    found = np.lib.stride_tricks.sliding_window_view(x, reach, (-2, -1))
    return found[:, :, :, ::sy, ::sx, ::dy, ::dx][:, :, :, :rows, :columns]


def conv(x, op, weight):
    out, inner, *kernel = weight.shape
    found = windows(x, op, kernel, 0)
    parts = []
    for g in range(op["groups"]):
        w = weight[g * out // op["groups"] : (g + 1) * out // op["groups"]]
        part = found[:, :, g * inner : (g + 1) * inner]
        parts.append(np.tensordot(part, w.astype(np.float64), ((2, 5, 6), (1, 2, 3))))
    return np.moveaxis(np.concatenate(parts, -1), -1, 2)


def window_max(x, op):
    """The gate: the largest prefix of a window, whose steps are read off again."""
    prefix, before, train = 0.0, 0.0, []
    for step in range(x.shape[1]):
        prefix = 2 * prefix + x[:, step : step + 1]
        largest = windows(prefix, op, op["kernel"], -np.inf).max((-2, -1))
        train.append(largest - 2 * before)
        before = largest
    return np.concatenate(train, 1)


def replay(program, tensors, inputs):
    """Return every value by name, and the potentials of populations and read-outs."""
    steps, values, potentials = program["steps"], {}, {}
    for op in program["operations"]:
        kind, name = op["kind"], op["name"]
        t = {role: tensors[key] for role, key in op["tensors"].items()}
        read = [values[i] for i in op["inputs"]]
        x = read[0] if read else rounded(op, t, inputs[op["source"]])
        if kind == "input":
            y = np.repeat(x[:, None], steps, 1)
        elif kind in ("encode", "fire"):
            v = potentials[name] = x if kind == "encode" else total(x)
            charge = np.sign(v) * t["pre_bias"] if op["signed"] else t["pre_bias"]
            y = fire(v + charge, t["threshold"], steps, op["signed"])
        elif kind == "readout":
            y = potentials[name] = total(x)
        elif kind == "max":
            y = window_max(x, op)
        elif kind == "conv":
            y = conv(x, op, t["weight"])
            y = y + t["bias"].reshape(-1, 1, 1) if "bias" in t else y
        elif kind == "linear":
            rows = x.reshape(len(x), steps, op["rows"], -1)
            y = rows @ t["weight"].T.astype(np.float64) + t.get("bias", 0)
        elif kind == "sum":
            y = x
            for axis in op["axes"]:
                y = np.moveaxis(
                    np.tensordot(y, t[f"axis{axis}"].T * 1.0, (axis + 2, 0)), -1, axis + 2
                )
        elif kind == "scale":
            y = x * t["gain"]
        elif kind == "bias":
            y = x + t["bias"]
        elif kind == "add":
            y = read[0] + read[1]
        elif kind == "hold":
            y = np.repeat(total(x)[:, None], steps, 1)
        elif kind == "product":
            y = read[0] @ read[1] if op["by"] == "matmul" else read[0] * read[1]
        else:  # gather, concat, reshape: elements of all inputs, one behind the other
            y = np.concatenate([r.reshape(len(r), steps, -1) for r in read], 2)
            if kind == "gather":
                y = np.where(t["index"] < 0, 0, y[:, :, t["index"]])
        values[name] = y if kind == "readout" else y.reshape(len(y), steps, *op["shape"])
    return values, potentials


def main(folder):
    program = json.loads((folder / "program.json").read_text())
    vectors = load_file(folder / "vectors.safetensors")
    inputs = {n.removeprefix("input/"): v for n, v in vectors.items() if n.startswith("input/")}
    values, potentials = replay(program, load_file(folder / "tensors.safetensors"), inputs)
    found = {f"spikes/{n}": v for n, v in values.items()}
    found |= {f"integers/{n}": v[:, 0] for n, v in values.items() if v.ndim > 1}
    found |= {f"potential/{n}": v for n, v in potentials.items()}
    expected = {n: v for n, v in vectors.items() if not n.startswith("input/")}
    differ = sum(int((found[n] != v).sum()) for n, v in expected.items())
    print(f"{sum(v.size for v in expected.values())} values, {differ} differ")
    return differ


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) > 0)
