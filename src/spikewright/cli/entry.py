# SPDX-License-Identifier: Apache-2.0
"""The entry point: parse, run one verb, and turn whatever happens into an exit code and a line."""

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import CoercionError, CycloptsError, UnusedCliTokensError

from spikewright.cli.app import build
from spikewright.cli.exit_codes import BROKEN_PIPE, DEFECT, DONE, INTERRUPTED, MISUSE
from spikewright.cli.machine import used
from spikewright.cli.settings import config_path
from spikewright.cli.terminal import shown_warnings
from spikewright.errors import SpikewrightError

__all__ = ["main"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after ``spikewright``; those of this process by default.

    Returns:
        0 done, 1 finding, 2 misuse, 3 defect of this program, 130 interrupted, 141 if nobody reads
        the output any more.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # tables have lines that not every code page has
    try:
        with shown_warnings():
            code = _run(tokens)
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        return _fail(error, "interrupted: no file is left half-written.", INTERRUPTED, tokens)
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except CycloptsError as error:
        return _fail(error, f"error: {_misuse(error)}", MISUSE, tokens)
    except SpikewrightError as error:
        return _fail(error, f"error: {error}", MISUSE, tokens)
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich ends so, below help
            return BROKEN_PIPE
        text = (  # the code of a model, run by whatever verb
            f"error: expected code that returns, got one that ends the program: exit({error}). "
            "Take that call out of the model's code."
        )
        return _fail(error, text, MISUSE, tokens)
    except Exception as error:  # the last resort, so that users see no traceback
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's
            text = "error: not enough memory. Use a smaller --batch-size."
            return _fail(error, text, MISUSE, tokens)
        if isinstance(error, OSError) and error.errno in _FULL:
            _drop_output()
            text = "error: standard output: no space left where it goes. Free some, or send it on."
            return _fail(error, text, MISUSE, tokens)
        text = (
            f"error: {type(error).__name__}: {error}\n"
            "This is a defect of Spikewright, not of your input. Please report it with what "
            "--debug shows and the output of `spikewright env`."
        )
        return _fail(error, text, DEFECT, tokens)
    return code


def _drop_output() -> None:
    """Send the rest of standard output to nobody: Python flushes it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(tokens: list[str]) -> int:
    app = build(config_path(tokens))
    command, bound, _ = app.parse_args(
        tokens, exit_on_error=False, print_error=False, verbose=False
    )
    with used(bound.arguments):
        code = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else DONE  # --help and --version return nothing


def _misuse(error: CycloptsError) -> str:
    verb = " ".join(error.command_chain or ())
    see = f"See: spikewright {verb + ' ' if verb else ''}--help"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"{error.unused_tokens[0]!r}: expected an option, got a bare word. {see}"
    text = str(error).strip()
    token = error.token if isinstance(error, CoercionError) else None
    source = "" if token is None or token.source in ("", "cli") else f" from {token.source}"
    if token is not None and token.keyword and source not in text:
        text = text.replace(token.keyword, f"{token.keyword}{source}", 1)
    return f"{text} {see}"


def _fail(error: BaseException, text: str, code: int, tokens: Sequence[str]) -> int:
    if "--debug" in tokens:
        traceback.print_exception(error, file=sys.stderr)
    print(text, file=sys.stderr)
    return code
