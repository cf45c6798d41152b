# SPDX-License-Identifier: Apache-2.0
"""What is to be compared: methods with their settings and T, all checked before any work."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from spikewright.calibration import Max, Percentile
from spikewright.errors import ConfigError
from spikewright.methods import MethodConfig, methods
from spikewright.methods.setting_values import settings_of

__all__ = ["DEFAULT_T", "Entry", "Run", "entries_of", "is_anytime", "parse_entry", "runs_of"]

DEFAULT_T = (4, 8, 16)
"""Time steps where none are given; every method of the package can have them."""

_FORM = "NAME, NAME:key=value,key=value, NAME@4,8,16 or LABEL=NAME:…@…"
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Entry:
    """One line of a comparison.

    Attributes:
        label: What it is called in tables and figures.
        config: The method's settings; its own T is not used.
        T: Time steps to run it at; None takes those of the comparison.
        model: The network that it takes instead of the comparison's, for methods whose networks
            are trained for them: other weights, same inputs and calibration data. Not changed.
        training: What training that network took beyond the comparison's, in words for the table.
    """

    label: str
    config: MethodConfig
    T: tuple[int, ...] | None = None
    model: nn.Module | None = field(default=None, compare=False, repr=False)
    training: str = ""


@dataclass(frozen=True)
class Run:
    """One conversion and evaluation.

    Attributes:
        label: The entry's.
        config: Settings at this T.
        T: Time steps.
        anytime: Whether it tells the results of all shorter T as well.
        model: The entry's own network, if it has one.
    """

    label: str
    config: MethodConfig
    T: int
    anytime: bool
    model: nn.Module | None = field(default=None, compare=False, repr=False)


def parse_entry(text: str) -> Entry:
    """Read a method, its settings and its T from one text.

    Args:
        text: ``NAME``, ``NAME:key=value,key=value``, ``NAME@4,8,16``, or both with a label in
            front, ``LABEL=NAME:…@…``. Values are TOML or plain text; commas within brackets,
            braces and quotes belong to the value.

    Returns:
        The entry; without a label of its own it is called as it is written, T left out.

    Raises:
        UnknownNameError: If there is no such method, or it has no such option; with the nearest.
        ConfigError: If the text has another form, or a value or a T is out of range.

    Example:
        >>> entry = parse_entry("wide=burst:gamma=2,per_channel=true@4,8")
        >>> entry.label, entry.config.gamma, entry.T
        ('wide', 2, (4, 8))
    """
    body, label = text.strip(), None
    first = next((c for c in body if c in "=:@"), "")
    if first == "=":
        label, _, body = (part.strip() for part in body.partition("="))
    settings, at, steps = _last(body, "@")
    name, colon, options = (part.strip() for part in settings.partition(":"))
    if not name or label == "" or (colon and not options) or (at and not steps.strip()):
        raise ConfigError(f"methods: expected {_FORM}, got {text!r}. Correct it.")
    cls = methods()[name]
    values = settings_of(cls, _split(options) if options else [], f"{name}:", {})
    if "T" in values:
        raise ConfigError(f"methods: {text!r}: expected T behind @. Write {name}@8,16.")
    config = cls.from_dict(values)
    return Entry(settings.strip() if label is None else label, config, _steps(steps, text, at))


def entries_of(given: Sequence[str | MethodConfig | Entry], T: Sequence[int]) -> tuple[Entry, ...]:
    """Check everything that is to be compared: labels, T, and each method's settings at each T.

    Args:
        given: Texts (:func:`parse_entry`), settings or entries.
        T: Time steps of those that have none of their own.

    Returns:
        Entries whose T are given, each once, from the smallest to the largest.

    Raises:
        ConfigError: If nothing is given, a label is there twice, a method has no T, or a setting
            is out of range at one of the T.
        UnknownNameError: See :func:`parse_entry`.
    """
    if isinstance(given, str):
        raise ConfigError(f"methods: expected a list, got one text. Write [{given!r}].")
    found = [_entry(each) for each in given]
    if not found:
        raise ConfigError("methods: expected at least one, got none. Name one, e.g. 'burst'.")
    checked = []
    for entry in found:
        if sum(entry.label == other.label for other in found) > 1:
            raise ConfigError(
                f"methods: expected every label once, got {entry.label!r} twice. Write "
                "LABEL=NAME:…, or pass Entry(label, config)."
            )
        steps = T if entry.T is None else entry.T
        if not steps:
            raise ConfigError(f"{entry.label}: expected at least one T, got none.")
        wrong = [t for t in steps if type(t) is not int or t < 1]
        if wrong:
            raise ConfigError(
                f"{entry.label}: expected time steps T ≥ 1, got T={wrong[0]!r}. Raise it."
            )
        checked.append(dataclasses.replace(entry, T=tuple(sorted(set(steps)))))
        for each in checked[-1].T or ():
            _at(entry, each)
    return tuple(checked)


def runs_of(entry: Entry) -> Iterator[Run]:
    """Yield the conversions that an entry of :func:`entries_of` needs: one, or one for each T."""
    steps = entry.T or ()
    anytime = is_anytime(entry.config)
    for T in steps[-1:] if anytime else steps:
        yield Run(entry.label, _at(entry, T), T, anytime, entry.model)


def is_anytime(config: MethodConfig) -> bool:
    """Return whether one run at the largest T tells the results at all shorter ones.

    That is so if the method says it and its scale rule does not look at the code: minimum error
    (and any rule from outside, which we cannot know) chooses other scales for another T.
    """
    rule = getattr(config, "scale", None)
    return config.anytime and (rule is None or isinstance(rule, Max | Percentile))


def _entry(given: str | MethodConfig | Entry) -> Entry:
    if isinstance(given, Entry):
        return given
    if isinstance(given, MethodConfig):
        return Entry(str(given.name), given)
    if isinstance(given, str):
        return parse_entry(given)
    raise ConfigError(
        f"methods: expected names, settings or Entry(label, config, T), got {given!r}."
    )


def _at(entry: Entry, T: int) -> MethodConfig:
    """Return an entry's settings at one T."""
    if "T" not in (field.name for field in dataclasses.fields(entry.config)):
        raise ConfigError(
            f"{entry.label}: expected a method with a setting T, got {entry.config.name}, which "
            "has none. It cannot be compared over T."
        )
    try:
        changed: MethodConfig = dataclasses.replace(entry.config, T=T)  # type: ignore[call-arg]
    except ConfigError as error:
        raise ConfigError(
            f"{entry.label} with T={T}: {error} Give it a T of its own, e.g. {entry.config.name}@8."
        ) from error
    return changed


def _steps(text: str, whole: str, at: str) -> tuple[int, ...] | None:
    """Read what stands behind @."""
    if not at:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise ConfigError(
            f"methods: {whole!r}: expected time steps T ≥ 1 behind @, got {text!r}. "
            "Write e.g. @8,16."
        )
    return tuple(map(int, parts))


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Yield the characters that stand in no brackets and no quotes, with their places."""
    depth, quote = 0, ""
    for i, c in enumerate(text):
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c in _OPENING:
            depth += 1
        elif c in _CLOSING:
            depth -= 1
        elif depth == 0:
            yield i, c


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes."""
    cuts = [-1, *(i for i, c in _outside(text) if c == ","), len(text)]
    return [text[a + 1 : b] for a, b in itertools.pairwise(cuts)]


def _last(text: str, mark: str) -> tuple[str, str, str]:
    """Part a text at the last mark outside brackets and quotes; without one all is in front."""
    places = [i for i, c in _outside(text) if c == mark]
    return (text[: places[-1]], mark, text[places[-1] + 1 :]) if places else (text, "", "")
