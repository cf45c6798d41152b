# SPDX-License-Identifier: Apache-2.0
"""Energy models as data: what an operation, a memory access or a synaptic operation costs.

Each is one TOML file in ``energy_models``; a user's own is a file of the same form, given by path.
"""

import dataclasses
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from spikewright.codes.lookup import Lookup
from spikewright.energy.function_prices import FunctionPrices
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError, unknown_name
from spikewright.files import read_text
from spikewright.text import shorten

__all__ = [
    "EnergyModel",
    "Memory",
    "choose_models",
    "energy_models",
    "full_precision",
    "read_model",
]

_FOLDER = resources.files(__package__) / "models"
_ABOUT = ("title", "source", "note")
_MOST = 1e15  # pJ of one operation, bytes of one memory
_MOST_BITS = 1024


@dataclass(frozen=True)
class Memory:
    """What reading or writing a word costs, by the size of the memory it is in.

    Attributes:
        word_bits: Bits of the words that the prices are for; others cost in proportion.
        sizes: Bytes, ascending.
        pj: Energy of an access at each size; linear between them, constant beyond.
    """

    word_bits: int
    sizes: tuple[float, ...]
    pj: tuple[float, ...]

    def access(self, words: float, bits: float) -> float:
        """Return the energy in pJ of one word of so many bits in a memory of so many words.

        Example:
            >>> memory = Memory(64, (8192.0, 32768.0), (10.0, 20.0))
            >>> memory.access(1024, 64), memory.access(2560, 64), memory.access(10**9, 8)
            (10.0, 15.0, 2.5)
        """
        size = words * bits / 8
        i = bisect_right(self.sizes, size)
        if i == 0 or i == len(self.sizes):
            whole = self.pj[max(0, i - 1)]
        else:
            share = (size - self.sizes[i - 1]) / (self.sizes[i] - self.sizes[i - 1])
            whole = self.pj[i - 1] + share * (self.pj[i] - self.pj[i - 1])
        return whole * bits / self.word_bits


@dataclass(frozen=True, kw_only=True)
class EnergyModel:
    """Prices in pJ.

    Attributes:
        name: Public name, that of its file.
        title: What it is, in a few words.
        source: Where the numbers come from.
        note: What it leaves out or assumes.
        weight_bits: Bits of a weight, of the spiking network and of its quantised opponent.
        state_bits: Bits of a potential.
        addition: One addition to a potential.
        comparison: One comparison.
        shift: One multiplication by a power of two.
        factor: One multiplication of a potential by another constant.
        multiplication: One multiplication of two numbers of ``multiplication_bits`` each.
        multiplication_bits: Significant bits; a narrower factor costs in proportion.
        synaptic_operation: What a chip spends on one, everything included; None if parts are
            priced. Then the other prices are those of FP32.
        functions: Prices of function units.
        memory: Price of memory accesses; None if they are free.
    """

    name: str
    title: str
    source: str
    note: str
    weight_bits: int
    state_bits: int
    addition: float
    comparison: float
    shift: float
    factor: float
    multiplication: float
    multiplication_bits: int
    functions: FunctionPrices
    synaptic_operation: float | None = None
    memory: Memory | None = None

    def multiply_add(self, bits: int | None = None, *, both: bool = False) -> float:
        """Return the price of a weight times an activation of so many bits, added up.

        Args:
            bits: Bits of the activation; full width if None.
            both: Whether both factors are activations.
        """
        share = 1.0 if bits is None else min(1.0, bits / self.multiplication_bits)
        return self.multiplication * (share * share if both else share) + self.addition

    def access(self, words: float, bits: float) -> float:
        """Return the price of a memory access; see :meth:`Memory.access`."""
        return 0.0 if self.memory is None else self.memory.access(words, bits)


@cache
def energy_models() -> Lookup[EnergyModel]:
    """Return the models that come with this package, by name."""
    files = [f for f in _FOLDER.iterdir() if f.name.endswith(".toml")]
    models = [_parse(f.read_text("utf-8"), f.name) for f in files]
    return Lookup("energy model", {m.name: m for m in models})


@cache
def full_precision() -> EnergyModel:
    """Return the model whose prices the full-precision opponent always pays, ``"fp32"``."""
    name = "fp32.toml"
    return _parse((_FOLDER / name).read_text("utf-8"), name)


def read_model(path: str | Path) -> EnergyModel:
    """Read an energy model from a TOML file; it is named like the file.

    Raises:
        FileFormatError: If the file cannot be read, or a value is missing, unknown or no price.
    """
    path = Path(path)
    try:
        text = read_text(path, "an energy model", 1 << 20)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: could not be read ({error}). Give another.") from error
    return _parse(text, str(path))


def choose_models(names: Iterable[str | Path] | None = None) -> tuple[EnergyModel, ...]:
    """Return the models of these names or files; all that come with the package by default.

    Raises:
        UnknownNameError: If a name is not known.
        ConfigError: If none is given, or two carry one name.
        FileFormatError: If a file is no energy model.
    """
    known = energy_models()
    if names is None:
        return tuple(known[name] for name in _in_order(known))
    found = []
    for name in names:
        if str(name).endswith(".toml"):
            found.append(read_model(name))
        elif str(name) in known:
            found.append(known[str(name)])
        else:
            error = unknown_name("energy model", str(name), known)
            raise UnknownNameError(f"{error} A model of your own is a path that ends in .toml.")
    if not found:
        raise ConfigError("energy: expected at least one energy model, got none.")
    twice = {m.name for m in found if [x.name for x in found].count(m.name) > 1}
    if twice:
        raise ConfigError(f"energy: got {min(twice)!r} twice. Name each model once.")
    return tuple(found)


def _in_order(known: Lookup[EnergyModel]) -> list[str]:
    """Return the names: parts that are priced first, then with memory, then chips."""
    return sorted(
        known, key=lambda n: (known[n].synaptic_operation is not None, known[n].memory is not None)
    )


def _parse(text: str, where: str) -> EnergyModel:
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{where}: expected TOML, got something else ({error}).") from error
    name = Path(where).stem
    title, source, note = (_text(data, key, where) for key in _ABOUT)
    if "chip" in data:
        _only(data, (*_ABOUT, "chip"), where)
        chip = _table(data, "chip", where)
        _only(chip, ("synaptic_operation",), f"{where} [chip]")
        price = _number(chip, "synaptic_operation", f"{where} [chip]")
        return dataclasses.replace(
            full_precision(),
            name=name,
            title=title,
            source=source,
            note=note,
            synaptic_operation=price,
        )
    _only(data, (*_ABOUT, "bits", "pj", "multiplication", "functions", "memory"), where)
    bits, pj = _table(data, "bits", where), _table(data, "pj", where)
    multiplication = _table(data, "multiplication", where)
    _only(bits, ("weight", "state"), f"{where} [bits]")
    _only(pj, ("addition", "comparison", "shift", "factor"), f"{where} [pj]")
    _only(multiplication, ("pj", "bits"), f"{where} [multiplication]")
    price = _number(multiplication, "pj", f"{where} [multiplication]")
    factor = _number(pj, "factor", f"{where} [pj]") if "factor" in pj else price
    addition = _number(pj, "addition", f"{where} [pj]")
    comparison = _number(pj, "comparison", f"{where} [pj]")
    return EnergyModel(
        name=name,
        title=title,
        source=source,
        note=note,
        weight_bits=_bits(bits, "weight", f"{where} [bits]"),
        state_bits=_bits(bits, "state", f"{where} [bits]"),
        addition=addition,
        comparison=comparison,
        shift=_number(pj, "shift", f"{where} [pj]"),
        factor=factor,
        multiplication=price,
        multiplication_bits=_bits(multiplication, "bits", f"{where} [multiplication]"),
        functions=_functions(data, where, factor, addition, comparison),
        memory=_memory(data, where) if "memory" in data else None,
    )


def _functions(
    data: Mapping[str, Any], where: str, factor: float, addition: float, comparison: float
) -> FunctionPrices:
    """Return the prices of function units: those that are given, and our rule for the others."""
    given = _table(data, "functions", where) if "functions" in data else {}
    where = f"{where} [functions]"
    _only(given, ("evaluation", "multiplication", "division"), where)
    own = {name: _number(given, name, where) for name in given}
    product = own.get("multiplication", factor)
    rule = FunctionPrices.from_multiplication(product, addition, comparison)
    return dataclasses.replace(rule, **own)


def _memory(data: Mapping[str, Any], where: str) -> Memory:
    where, memory = f"{where} [memory]", _table(data, "memory", where)
    _only(memory, ("word_bits", "bytes", "pj"), where)
    sizes, pj = _numbers(memory, "bytes", where), _numbers(memory, "pj", where)
    if len(sizes) != len(pj) or any(a >= b for a, b in pairwise(sizes)):
        raise FileFormatError(f"{where}: expected as many prices as sizes, the sizes ascending.")
    word = _bits(memory, "word_bits", where)
    return Memory(word, sizes, pj)


def _table(data: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    if not isinstance(data.get(key), dict):
        raise FileFormatError(f"{where}: expected a table [{key}], got {data.get(key)!r}.")
    found: Mapping[str, Any] = data[key]
    return found


def _text(data: Mapping[str, Any], key: str, where: str) -> str:
    if not isinstance(data.get(key), str) or not data[key]:
        raise FileFormatError(f"{where}: expected a text {key}, got {data.get(key)!r}.")
    return str(data[key])


def _number(data: Mapping[str, Any], key: str, where: str) -> float:
    if not _is_price(data.get(key)):
        raise FileFormatError(
            f"{where}: expected {key}, a number above 0 and up to {_MOST:g}, got "
            f"{shorten(repr(data.get(key)), 40)}."
        )
    return float(data[key])


def _numbers(data: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
    values = data.get(key)
    if not isinstance(values, list) or not values or not all(map(_is_price, values)):
        raise FileFormatError(
            f"{where}: expected {key}, a list of numbers above 0, got {shorten(repr(values), 40)}."
        )
    return tuple(map(float, values))


def _bits(data: Mapping[str, Any], key: str, where: str) -> int:
    value = data.get(key)
    if type(value) is not int or not 1 <= value <= _MOST_BITS:
        raise FileFormatError(
            f"{where}: expected {key}, a whole number of bits from 1 to {_MOST_BITS}, got "
            f"{shorten(repr(value), 40)}."
        )
    return value


def _is_price(value: object) -> bool:
    return type(value) in (int, float) and 0 < value <= _MOST  # type: ignore[operator]


def _only(data: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    if unknown := sorted(set(data) - set(known)):
        raise FileFormatError(
            f"{where}: expected only {', '.join(known)}, got also {', '.join(unknown)}."
        )
