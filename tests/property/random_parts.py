# SPDX-License-Identifier: Apache-2.0
"""More steps that move elements: copies, borders, parts that are cut off and put together."""

from tests.property.random_graphs import LARGEST, Batch, Draft, Value, divisors, elements
from tests.property.random_steps import step


@step("layout")
def repeat(d: Draft, v: Value) -> Value | None:
    """Copies: of a whole axis (the batch too), of each element, along a new axis."""
    n = d.rng.choice([2, 3])
    if elements(v.axes) * n > LARGEST:
        return None
    at, axis = d.rng.randrange(len(v.axes)), None
    axis = v.axes[at]
    inside = axis * n if isinstance(axis, int) else Batch(axis.outer, axis.inner * n)
    around = axis * n if isinstance(axis, int) else Batch(axis.outer * n, axis.inner)
    counts = ", ".join(str(n if i == at else 1) for i in range(len(v.axes)))
    way = d.rng.choice(["repeat", "tile", "interleave", "expand", "cat"])
    if way == "interleave":
        axes = (*v.axes[:at], inside, *v.axes[at + 1 :])
        return d.put(f"{v.name}.repeat_interleave({n}, {at})", axes)
    if way == "expand":
        if len(v.axes) > 4:
            return None
        sizes = ", ".join(str(n) if i == at else "-1" for i in range(len(v.axes) + 1))
        return d.put(f"{v.name}.unsqueeze({at}).expand({sizes})", (*v.axes[:at], n, *v.axes[at:]))
    axes = (*v.axes[:at], around, *v.axes[at + 1 :])
    if way == "cat":
        return d.put(f"torch.cat([{', '.join([v.name] * n)}], {at})", axes)
    return d.put(f"{v.name}.{way}({counts})", axes)


@step("layout", 2)
def pad(d: Draft, v: Value) -> Value | None:
    """Zeros around one or two axes; the border once more around maps."""
    n = len(v.axes)
    mode = d.rng.choice(["constant", "value", "reflect", "replicate", "circular"])
    count = d.rng.choice([1, 2])
    if not all(i in v.plain for i in range(n - count, n)):
        return None
    maps = n in (3, 4) and count == n - 2 and all(v.int(i) > 1 for i in range(2, n))
    if mode in ("reflect", "replicate", "circular") and not maps:
        return None
    widths = [d.rng.randint(0, 1) for _ in range(2 * count)]
    if not any(widths):
        return None
    axes = list(v.axes)
    for i in range(count):
        axes[n - 1 - i] = v.int(n - 1 - i) + widths[2 * i] + widths[2 * i + 1]
    if elements(tuple(axes)) > LARGEST:
        return None
    how = ", value=0.7" if mode == "value" else "" if mode == "constant" else f', mode="{mode}"'
    return d.put(f"F.pad({v.name}, {tuple(widths)}{how})", axes)


@step("layout")
def squeeze(d: Draft, v: Value) -> Value | None:
    ones = [i for i in v.plain if v.int(i) == 1]
    if not ones or len(v.axes) < 3:
        at = d.rng.randint(0, len(v.axes))
        if len(v.axes) > 4:
            return None
        return d.put(f"{v.name}.unsqueeze({at})", (*v.axes[:at], 1, *v.axes[at:]))
    at = d.rng.choice(ones)
    if d.rng.random() < 0.6:
        return d.put(f"{v.name}.squeeze({at})", v.axes[:at] + v.axes[at + 1 :])
    left = [a for a in v.axes if a != 1]
    if len(left) < 2:
        return None
    d.batchless = d.batchless or v.axes[v.batch] == Batch()
    return d.put(f"{v.name}.squeeze()", left)


@step("layout")
def parts(d: Draft, v: Value) -> Value | None:
    """Cut into parts, put together in another order: along any axis, the batch's too."""
    at = d.rng.randrange(len(v.axes))
    axis = v.axes[at]
    n = axis if isinstance(axis, int) else axis.outer
    if n < 2 or n > 12:
        return None
    count = d.rng.choice(divisors(n))
    if isinstance(axis, int):
        sizes = [d.rng.randint(1, n - 1)]
        sizes.append(n - sizes[0])
        if d.rng.random() < 0.5:
            return d.put(f"torch.cat({v.name}.split({sizes}, {at})[::-1], {at})", v.axes)
        return d.put(f"torch.cat({v.name}.chunk({count}, {at})[::-1], {at})", v.axes)
    left = (*v.axes[:at], Batch(axis.outer // count, axis.inner), *v.axes[at + 1 :])
    return d.put(f"{v.name}.chunk({count}, {at})[{d.rng.randrange(count)}]", left)


@step("layout", 2)
def cat(d: Draft, v: Value) -> Value | None:
    """Put an earlier value beside it, along any axis, the batch's too."""
    at = d.rng.randrange(len(v.axes))
    others = d.like(v, at)
    if not others:
        return None
    w = d.rng.choice(others)
    a, b = v.axes[at], w.axes[at]
    if isinstance(a, int) and isinstance(b, int):
        both: int | Batch = a + b
    elif isinstance(a, Batch) and isinstance(b, Batch) and a.inner == b.inner:
        both = Batch(a.outer + b.outer, a.inner)
    else:
        return None
    axes = (*v.axes[:at], both, *v.axes[at + 1 :])
    if elements(axes) > LARGEST:
        return None
    if at == 1 and d.rng.random() < 0.3:
        return d.put(f"torch.hstack([{v.name}, {w.name}])", axes)
    return d.put(f"torch.cat([{v.name}, {w.name}], {at - len(v.axes)})", axes)


@step("layout")
def pixels(d: Draft, v: Value) -> Value | None:
    if len(v.axes) != 4 or v.batch != 0:
        return None
    c, h, w = (v.int(i) for i in (1, 2, 3))
    ways = ["shuffle"] * (c % 4 == 0) + ["unshuffle"] * (h % 2 == 0 and w % 2 == 0)
    ways += ["channels"] * (c % 2 == 0 and c > 2)
    way = d.rng.choice([*ways, "nearest"])
    if way == "shuffle":
        return d.put(f"F.pixel_shuffle({v.name}, 2)", (v.axes[0], c // 4, 2 * h, 2 * w))
    if way == "unshuffle":
        return d.put(f"F.pixel_unshuffle({v.name}, 2)", (v.axes[0], 4 * c, h // 2, w // 2))
    if way == "channels":
        return d.put(f"F.channel_shuffle({v.name}, 2)", v.axes)
    if elements(v.axes) * 4 > LARGEST:
        return None
    return d.put(f"F.interpolate({v.name}, scale_factor=2)", (v.axes[0], c, 2 * h, 2 * w))
