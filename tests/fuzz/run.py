# SPDX-License-Identifier: Apache-2.0
"""Opens edited files in child processes and says what ended otherwise than it may.

``python -m tests.fuzz.run --seconds 600`` edits for ten minutes; ``--target network`` one kind of
file. An edit may work or raise one of our errors. Anything else is a finding: another error, a
crash of the process, more memory than a bound, or no end.
"""

import argparse
import gc
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spikewright.errors import SpikewrightError
from tests.fuzz.targets import TARGETS, Target

MEMORY = 8 << 30
"""Most bytes of address space of a child: PyTorch's libraries, and what an edited file may ask."""

SECONDS = 60
"""Longest time of one edit."""


@dataclass
class Outcome:
    """What a run found.

    Attributes:
        edits: How many files were opened.
        worked: How many of them still were valid.
        findings: What must not be, in words, with the seed that shows it again.
    """

    edits: int = 0
    worked: int = 0
    findings: list[str] = field(default_factory=list)


def fuzz(
    *,
    seconds: float = float("inf"),
    edits: int = sys.maxsize,
    seed: int = 0,
    only: Sequence[str] = (),
) -> Outcome:
    """Edit and open files until the time or the number of edits is over.

    Args:
        seconds: Time.
        edits: Number of edits.
        seed: Number of the first one; each is a seed of its own.
        only: Names of the targets; all by default.
    """
    torch.set_num_threads(1)
    chosen = [t for t in TARGETS if not only or t.name in only]
    outcome, start = Outcome(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for target in chosen:
            target.prepare(Path(place) / target.name)
        number, last = seed, seed + edits
        while number < last and time.monotonic() - start < seconds:
            stop = min(last, number + 500)
            number = _child(chosen, number, stop, Path(place), outcome, start + seconds)
    return outcome


def _child(
    targets: Sequence[Target], first: int, stop: int, place: Path, outcome: Outcome, until: float
) -> int:
    """Run edits in a child; return the number of the next one."""
    sys.stdout.flush()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        _work(targets, range(first, stop), place, writes)
    os.close(writes)
    number, buffer = first, b""
    while True:
        ready, _, _ = select.select([reads], [], [], SECONDS)
        part = os.read(reads, 65536) if ready else b""
        buffer += part
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            number += 1
            outcome.edits += 1
            outcome.worked += line == b"worked"
            if line.startswith(b"!"):
                outcome.findings.append(f"seed {number - 1}: {line[1:].decode(errors='replace')}")
        if part and time.monotonic() < until:
            continue
        if part or not ready:
            os.kill(child, signal.SIGKILL)
        os.close(reads)
        _, status = os.waitpid(child, 0)
        if not ready:
            outcome.findings.append(f"seed {number}: no end within {SECONDS} s")
        elif not part and number < stop:
            code = os.waitstatus_to_exitcode(status)
            outcome.findings.append(f"seed {number}: the process ended with {code}")
        else:
            return stop if number >= stop else number
        outcome.edits += 1
        return number + 1


def _work(targets: Sequence[Target], numbers: range, place: Path, writes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)  # torch logs what cannot be exported
    for number in numbers:
        os.write(writes, _one(targets, number, place).encode(errors="replace") + b"\n")
        if number % 50 == 0:
            gc.collect()
    os._exit(0)


def _one(targets: Sequence[Target], number: int, place: Path) -> str:
    """Edit and open one file; return how it ended, in one line."""
    draw = random.Random(number)
    (target,) = draw.choices(targets, [t.share for t in targets])
    path, what = target.edit(place / target.name, draw)
    try:
        target.open(path)
    except SpikewrightError as error:
        if not str(error).strip():
            return f"!{target.name}: {what}: an error without words"
        return "refused"
    except BaseException as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return f"!{target.name}: {what}: {text}".replace("\n", " ")
    return "worked"


def main() -> int:
    """Run from the command line; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--edits", type=int, default=sys.maxsize)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", default=[])
    options = parser.parse_args()
    found = fuzz(
        seconds=options.seconds, edits=options.edits, seed=options.seed, only=options.target
    )
    kinds = Counter(f.split(": ", 1)[1][:60] for f in found.findings)
    for finding in found.findings[:200]:
        print(finding)
    print(
        f"{found.edits} edits, {found.worked} still valid, {len(found.findings)} findings of "
        f"{len(kinds)} kinds"
    )
    return 1 if found.findings else 0


if __name__ == "__main__":
    sys.exit(main())
