# SPDX-License-Identifier: Apache-2.0
"""Names of a user's own code: functions in modules and files, which are executed."""

import importlib
import importlib.util
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from spikewright.errors import ConfigError, FileFormatError, UnknownNameError, unknown_name

__all__ = ["called", "named_in"]


def named_in(source: str, name: str, where: str) -> Any:  # noqa: ANN401 - whatever the user names
    """Execute a module or a file and return what it calls by a name.

    Args:
        source: ``package.module`` or ``path/file.py``; the working folder or the file's folder is
            importable meanwhile.
        name: What is asked for.
        where: What it is for, for messages.

    Raises:
        UnknownNameError: If there is no such module or name; the nearest are given.
        FileFormatError: If there is no such file.
        ConfigError: If the code fails.
    """
    module = _executed(Path(source), where) if source.endswith(".py") else _imported(source, where)
    if not hasattr(module, name):
        public = [key for key, value in vars(module).items() if callable(value) and key[:1] != "_"]
        raise unknown_name(f"{where}: function", name, public)
    return getattr(module, name)


def called(function: Callable[[], Any], where: str, expected: str, advice: str) -> Any:  # noqa: ANN401 - as above
    """Call a user's function, which may fail in any way.

    Args:
        function: Takes no arguments.
        where: What it is for, for messages.
        expected: What it should be.
        advice: What to do where it is not.

    Raises:
        ConfigError: If it fails, or tries to end this program.
    """
    try:
        with _contained():
            return function()
    except Exception as error:  # the user's own code may fail in any way
        raise ConfigError(f"{where}: expected {expected}, got {_said(error, advice)}") from error


def _imported(source: str, where: str) -> ModuleType:
    try:
        with _importable(Path.cwd()), _contained():
            return importlib.import_module(source)
    except ModuleNotFoundError as error:
        raise UnknownNameError(
            f"{where}: expected a module that can be imported, got none called {error.name!r}. "
            "Check the name, or give a file: path/file.py:function."
        ) from error
    except Exception as error:  # the user's own code may fail in any way
        raise _failed(where, error) from error


def _executed(path: Path, where: str) -> ModuleType:
    if not path.is_file():
        raise FileFormatError(f"{where}: expected a Python file, got none. Check the path.")
    name = f"_spikewright_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileFormatError(f"{where}: expected a Python file, got none. Check the path.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        with _importable(path.resolve().parent), _contained():
            spec.loader.exec_module(module)
    except Exception as error:  # the user's own code may fail in any way
        del sys.modules[name]
        raise _failed(where, error) from error
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder first on the import path, and take it off again."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


class _EndedError(Exception):
    """The user's code tried to end this program."""


@contextmanager
def _contained() -> Iterator[None]:
    """Make an error of what would end the whole program, but leave Ctrl-C to the user."""
    pressed, before = False, signal.getsignal(signal.SIGINT)
    watched = callable(before) and threading.current_thread() is threading.main_thread()

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        if callable(before):
            before(number, frame)

    if watched:
        signal.signal(signal.SIGINT, note)
    try:
        yield
    except SystemExit as error:
        code = "" if error.code is None else repr(error.code)
        raise _EndedError(f"a call of exit({code})") from error
    except KeyboardInterrupt as error:
        if pressed:
            raise
        raise _EndedError("a KeyboardInterrupt of its own") from error
    finally:
        if watched:
            signal.signal(signal.SIGINT, before)


def _said(error: Exception, advice: str) -> str:
    """Say how the user's code failed and what to do about it."""
    if isinstance(error, _EndedError):
        return f'{error}. Put what a script does below `if __name__ == "__main__":`.'
    return f"{type(error).__name__}: {error}. {advice}"


def _failed(where: str, error: Exception) -> ConfigError:
    advice = "Run it with Python by itself to see where it fails."
    return ConfigError(f"{where}: expected code that can be imported, got {_said(error, advice)}")
