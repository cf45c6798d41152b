# SPDX-License-Identifier: Apache-2.0
"""The steps that compute: layers, averages, maxima, sums, constants, activations."""

import torch

from tests.property.random_graphs import LARGEST, Axis, Batch, Draft, Value, elements
from tests.property.random_steps import any_axis, step


def _out(d: Draft, v: Value, own: int) -> int:
    """Draw a number of outputs that keeps the value small."""
    most = max(1, LARGEST * own // elements(v.axes))
    return min(d.rng.choice([2, 3, 4, 6, 8]), most)


def _maps(v: Value, dims: int) -> bool:
    """Tell whether the value is a batch of channels with so many axes of space."""
    return len(v.axes) == dims + 2 and v.batch == 0


def _bias(d: Draft, n: int) -> str:
    return d.tensor(d.normal(n) / 2) if d.rng.random() < 0.6 else "None"


# -- weighted -------------------------------------------------------------------------------------


@step("weighted", 3)
def linear(d: Draft, v: Value) -> Value | None:
    n = len(v.axes)
    if n - 1 not in v.plain or n < 2:
        return None
    own = v.int(n - 1)
    out = _out(d, v, own)
    weight = d.tensor(d.normal(out, own, fan_in=own) * d.gains(out)[:, None])
    return d.put(f"F.linear({v.name}, {weight}, {_bias(d, out)})", (*v.axes[:-1], out))


@step("weighted", 3)
def conv(d: Draft, v: Value) -> Value | None:
    """Of any dimension; groups, stride, dilation, padding, transposed."""
    dims = len(v.axes) - 2
    if dims not in (1, 2, 3) or not _maps(v, dims):
        return None
    c, space = v.int(1), [v.int(i) for i in range(2, dims + 2)]
    groups = d.rng.choice([g for g in (1, 1, 2, 3, 4) if c % g == 0])
    out = groups * d.rng.choice([1, 2, 3, 4])
    kernel = [d.rng.choice([1, 2, 3]) for _ in space]
    stride, dilation = (d.rng.choice([1, 1, 2]) for _ in range(2))
    padding = [d.rng.randint(0, k - 1) for k in kernel]
    fan_in = c // groups * max(1, round(torch.tensor(kernel).prod().item()))
    transposed = d.rng.random() < 0.25
    if transposed:
        more = d.rng.randint(0, stride - 1)
        sizes = [
            (s - 1) * stride - 2 * p + dilation * (k - 1) + more + 1
            for s, k, p in zip(space, kernel, padding, strict=True)
        ]
        weight = d.normal(c, out // groups, *kernel, fan_in=fan_in)
        rest = f"{stride}, {tuple(padding)}, {more}, {groups}, {dilation}"
    else:
        sizes = [
            (s + 2 * p - dilation * (k - 1) - 1) // stride + 1
            for s, k, p in zip(space, kernel, padding, strict=True)
        ]
        weight = d.normal(out, c // groups, *kernel, fan_in=fan_in)
        weight = weight * d.gains(out).reshape(-1, *[1] * (weight.ndim - 1))
        rest = f"{stride}, {tuple(padding)}, {dilation}, {groups}"
    axes = (v.axes[0], out, *sizes)
    if min(sizes) < 1 or elements(axes) > LARGEST:
        return None
    name = f"conv{'_transpose' if transposed else ''}{dims}d"
    return d.put(f"F.{name}({v.name}, {d.tensor(weight)}, {_bias(d, out)}, {rest})", axes)


@step("weighted")
def batch_norm(d: Draft, v: Value) -> Value | None:
    if 1 not in v.plain or len(v.axes) < 2:
        return None
    c = v.int(1)
    mean = d.tensor(d.normal(c) / 2, trained=False)
    var = d.tensor(d.gains(c), trained=False)
    gain, shift = d.tensor(d.gains(c) * d.normal(c).sign()), d.tensor(d.normal(c) / 2)
    return d.put(f"F.batch_norm({v.name}, {mean}, {var}, {gain}, {shift})", v.axes)


@step("weighted", 3)
def product(d: Draft, v: Value) -> Value | None:
    """A matrix from either side, in every spelling: over any axis without the batch."""
    at = any_axis(d, v)
    if at is None or len(v.axes) < 2:
        return None
    n, own, out = len(v.axes), v.int(at), _out(d, v, v.int(at))
    axes = (*v.axes[:at], out, *v.axes[at + 1 :])
    weight = d.normal(own, out, fan_in=own) * d.gains(out)
    left, right = "abcde"[:n], "abcde"[:n].replace("abcde"[at], "z")
    if d.rng.random() < 0.4:
        text = f'torch.einsum("{left},{left[at]}z->{right}", {v.name}, {d.tensor(weight)})'
        return d.put(text, axes)
    if at == n - 1:
        ways = ["{v} @ {w}", "torch.matmul({v}, {w})", "torch.tensordot({v}, {w}, 1)"]
        ways += ["torch.mm({v}, {w})", "torch.addmm({b}, {v}, {w})"] * (n == 2)
        ways += ["torch.bmm({v}, {w}.expand({v}.shape[0], -1, -1))"] * (n == 3)
        bias = d.tensor(d.normal(out) / 2)
        return d.put(d.rng.choice(ways).format(v=v.name, w=d.tensor(weight), b=bias), axes)
    if at == n - 2:
        return d.put(f"{d.tensor(weight.T.contiguous())} @ {v.name}", axes)
    return d.put(f"({v.name}.movedim({at}, -1) @ {d.tensor(weight)}).movedim(-1, {at})", axes)


@step("weighted")
def patches(d: Draft, v: Value) -> Value | None:
    """Convolution by im2col."""
    if not _maps(v, 2) or min(v.int(2), v.int(3)) < 2:
        return None
    c, h, w = (v.int(i) for i in (1, 2, 3))
    out = d.rng.choice([2, 3])
    weight = d.tensor(d.normal(out, 4 * c, fan_in=4 * c) * d.gains(out)[:, None])
    return d.put(f"{weight} @ F.unfold({v.name}, 2)", (v.axes[0], out, (h - 1) * (w - 1)))


# -- mixing ---------------------------------------------------------------------------------------


def _reduced(d: Draft, v: Value, most: int) -> tuple[list[int], bool, list[Axis]] | None:
    """Draw axes to reduce, whether they stay as ones, and what is left; None if too little is."""
    dims = d.rng.sample(v.plain, d.rng.randint(1, most))
    keep = d.rng.random() < 0.5
    axes: list[Axis] = [1 if i in dims else a for i, a in enumerate(v.axes)]
    if not keep:
        axes = [a for i, a in enumerate(v.axes) if i not in dims]
    if len(axes) < 2 or all(isinstance(a, Batch) or a == 1 for a in axes):
        return None
    return dims, keep, axes


@step("mixing", 2)
def mean(d: Draft, v: Value) -> Value | None:
    if not v.plain:
        return None
    reduced = _reduced(d, v, len(v.plain))
    if reduced is None:
        return None
    dims, keep, axes = reduced
    name = d.rng.choice(["mean", "sum"])
    return d.put(f"{v.name}.{name}({tuple(dims)}, keepdim={keep})", axes)


@step("mixing", 2)
def average(d: Draft, v: Value) -> Value | None:
    """Average pools and linear upsampling."""
    dims = len(v.axes) - 2
    if dims not in (1, 2) or not _maps(v, dims) or min(v.axes[2:]) < 2:  # type: ignore[type-var]
        return None
    space = [v.int(i) for i in range(2, dims + 2)]
    way = d.rng.choice(["pool", "adaptive", "upsample"])
    if way == "pool":
        k, s, p = 2, d.rng.choice([1, 2]), d.rng.randint(0, 1)
        sizes = [(n + 2 * p - k) // s + 1 for n in space]
        own = d.rng.choice(["", ", False", ", False, False"]) if p else ""
        text = f"F.avg_pool{dims}d({v.name}, {k}, {s}, {p}{own})"
    elif way == "adaptive":
        sizes = [d.rng.randint(1, n) for n in space]
        text = f"F.adaptive_avg_pool{dims}d({v.name}, {tuple(sizes)})"
    else:
        sizes = [2 * n for n in space]
        mode = "linear" if dims == 1 else "bilinear"
        corners = d.rng.choice([True, False])
        text = f"F.interpolate({v.name}, scale_factor=2, mode='{mode}', align_corners={corners})"
    axes = (*v.axes[:2], *sizes)
    return d.put(text, axes) if elements(axes) <= LARGEST else None


@step("mixing")
def running(d: Draft, v: Value) -> Value | None:
    """Running sums and differences."""
    at = any_axis(d, v, 2)
    if at is None:
        return None
    if d.rng.random() < 0.5:
        return d.put(f"{v.name}.cumsum({at})", v.axes)
    return d.put(f"{v.name}.diff(dim={at})", (*v.axes[:at], v.int(at) - 1, *v.axes[at + 1 :]))


# -- maxima ---------------------------------------------------------------------------------------


@step("pool", 2)
def max_pool(d: Draft, v: Value) -> Value | None:
    dims = len(v.axes) - 2
    if dims not in (1, 2) or not _maps(v, dims):
        return None
    space = [v.int(i) for i in range(2, dims + 2)]
    if min(space) < 2:
        return None
    if d.rng.random() < 0.3:
        sizes = [d.rng.randint(1, n) for n in space]
        return d.put(f"F.adaptive_max_pool{dims}d({v.name}, {tuple(sizes)})", (*v.axes[:2], *sizes))
    k, s, p = 2, d.rng.choice([1, 2]), d.rng.randint(0, 1)
    sizes = [(n + 2 * p - k) // s + 1 for n in space]
    return d.put(f"F.max_pool{dims}d({v.name}, {k}, {s}, {p})", (*v.axes[:2], *sizes))


@step("pool", 2)
def amax(d: Draft, v: Value) -> Value | None:
    """The maximum over any axes."""
    if not v.plain:
        return None
    reduced = _reduced(d, v, min(2, len(v.plain)))
    if reduced is None:
        return None
    dims, keep, axes = reduced
    if len(dims) == 1 and d.rng.random() < 0.4:
        return d.put(f"{v.name}.max({dims[0]}, keepdim={keep})[0]", axes)
    return d.put(f"{v.name}.amax({tuple(dims)}, keepdim={keep})", axes)


@step("pool")
def maximum(d: Draft, v: Value) -> Value | None:
    """The maximum of two branches."""
    others = d.like(v)
    if not others:
        return None
    name = d.rng.choice(["torch.maximum", "torch.max", "torch.minimum"])
    return d.put(f"{name}({v.name}, {d.rng.choice(others).name})", v.axes)


# -- sums and constants ---------------------------------------------------------------------------


@step("add", 3)
def residual(d: Draft, v: Value) -> Value | None:
    others = d.like(v)
    if not others:
        return None
    w = d.rng.choice(others)
    way = d.rng.choice(["{v} + {w}", "{v} - {w}", "torch.add({v}, {w}, alpha=0.5)"])
    return d.put(way.format(v=v.name, w=w.name), v.axes)


@step("constant", 2)
def scaled(d: Draft, v: Value) -> Value | None:
    """Multiply or add a constant, one number or one an element of some axes."""
    shape = [a if isinstance(a, int) and d.rng.random() < 0.5 else 1 for a in v.axes]
    number = d.rng.choice(["2", "-0.5", "0.25"])
    ways = ["number", "neg", "gain", "quotient", "bias", "minus", "mask", "fill", "where"]
    way = d.rng.choice(ways)
    if way in ("number", "neg", "minus"):
        text = {"number": f"{v.name} * {number}", "neg": f"-{v.name}", "minus": f"1 - {v.name}"}
        return d.put(text[way], v.axes)
    total = round(torch.tensor(shape).prod().item())
    if way == "mask":
        mask = d.normal(*shape) > -0.8
        return d.put(f"{v.name} * {d.tensor(mask.float(), trained=False)}", v.axes)
    if way in ("fill", "where"):
        mask = d.tensor(d.normal(*shape) > 0.8, trained=False)
        text = {"fill": "{v}.masked_fill({m}, 0.5)", "where": "torch.where({m}, 0.0, {v})"}
        return d.put(text[way].format(v=v.name, m=mask), v.axes)
    if way in ("gain", "quotient"):
        gain = d.tensor((d.gains(total) * d.normal(total).sign()).reshape(shape))
        return d.put(f"{v.name} {'*' if way == 'gain' else '/'} {gain}", v.axes)
    return d.put(f"{v.name} + {d.tensor(d.normal(*shape) / 2)}", v.axes)


# -- activations ----------------------------------------------------------------------------------

PLAIN = (
    "F.relu({v})",
    "{v}.relu()",
    "torch.relu({v})",
    "{v}.clone().relu_()",
    "{v}.clamp(min=0)",
    "{v}.clamp_min(0)",
    "F.relu6({v})",
    "F.hardtanh({v}, 0.0, 2.0)",
    "{v}.clamp(0, 1.5)",
    "{v}.clone().clamp_(0, 3)",
    "F.hardtanh({v}, -1.0, 1.0)",
    "{v}.clamp(-2, 2)",
    "F.threshold({v}, 0.0, 0.0)",
)
SPELLED = (
    "torch.where({v} > 0, {v}, 0.0)",
    "torch.where({v} >= 0, {v}, torch.zeros_like({v}))",
    "{v} * ({v} > 0)",
    "{v}.masked_fill({v} < 0, 0)",
    "torch.max({v}, torch.zeros_like({v}))",
    "torch.maximum({v}, torch.tensor(0.0))",
    "{v}.clip(0, 1)",
    "torch.minimum({v}.relu(), torch.tensor(2.0))",
    "({v} + {v}.abs()) / 2",
)
LINES = ("{v}.abs()", "F.leaky_relu({v}, 0.1)", "{v}.clamp(0.5, 2)", "F.hardtanh({v}, -1.0, 2.0)")


@step("activation")
def activation(d: Draft, v: Value) -> Value | None:
    """A clip, spelled plainly or as people do; now and then another function of straight lines."""
    ways = d.rng.choices([PLAIN, SPELLED, LINES], [4, 4, 1])[0]
    made = d.put(d.rng.choice(ways).format(v=v.name), v.axes)
    d.active.add(made.name)
    return made
