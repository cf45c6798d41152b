#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One command to install and run everything, with nothing but Python at hand.

python3 run.py test      runs every check: lint, format, types, rooms, documentation, tests
python3 run.py docs      builds the documentation into site/
python3 run.py demo      runs `spikewright demo`; any other verb is passed on likewise

The first call builds `.venv` from pyproject.toml and constraints.txt; later calls reuse it until
one of them changes.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036  (this file is what an older Python meets first)
    sys.exit(
        "run.py: expected Python 3.11 or newer, got {}.{}. Start it with a newer one, "
        "for example: python3.12 run.py demo".format(*sys.version_info[:2])
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
STAMP = VENV / "spikewright-install.sha256"

DOCS = ("mkdocs", "build", "--strict", "--quiet")
CHECKS = (
    ("ruff", "check"),
    ("ruff", "format", "--check"),
    ("mypy",),
    ("lint-imports",),
    DOCS,
    ("pytest", "--numprocesses", "auto", "--dist", "worksteal"),
)


def digest() -> str:
    """Return a hash of everything that decides what is installed."""
    text = b"\0".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    return hashlib.sha256(text + sys.version.encode()).hexdigest()


def install() -> None:
    """Make `.venv` hold this package and all it needs; do nothing if it already does."""
    if STAMP.is_file() and STAMP.read_text() == digest():
        return
    print("run.py: installing into .venv, this takes a few minutes the first time", flush=True)
    if not (BIN / "python").exists() and not (BIN / "python.exe").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(BIN / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "-c", "constraints.txt", "-e", ".[dev]"], cwd=ROOT, check=True)
    STAMP.write_text(digest())


def start(command: tuple[str, ...]) -> int:
    """Run an installed program at the root and return its exit code."""
    # Material for MkDocs would print its opinion of MkDocs 2, which is not what is installed.
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, env=quiet, check=False)
    return done.returncode


def test() -> int:
    """Run every check to its end and return 1 if any of them found something."""
    failed = []
    for check in CHECKS:
        line = " ".join(check)
        print(f"\n== {line}", flush=True)
        if start(check):
            failed.append(line)
    print("\nrun.py test: " + (f"FAILED: {', '.join(failed)}" if failed else "all checks passed"))
    return 1 if failed else 0


def docs() -> int:
    """Build the documentation as the checks do, and say where it is."""
    code = start(DOCS)
    if not code:
        print(f"run.py docs: open {ROOT / 'site' / 'index.html'}")
    return code


def main(arguments: list[str]) -> int:
    """Install if needed, then run the checks or hand the arguments to `spikewright`."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(__doc__)
        return 0 if arguments else 2
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"run.py: installation stopped, exit code {error.returncode}: see above.")
        return 2
    own = {"test": test, "docs": docs}.get(arguments[0])
    if own is not None and arguments[1:]:
        print(
            f"run.py {arguments[0]}: takes no arguments. For a part of the tests: "
            ".venv/bin/pytest PATH"
        )
        return 2
    if own is not None:
        return own()
    return subprocess.run([str(BIN / "spikewright"), *arguments], check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
