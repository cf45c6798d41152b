# SPDX-License-Identifier: Apache-2.0
"""Keep a library from writing to the terminal: what goes wrong is raised, in our words."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

__all__ = ["muted"]


class _Mute:
    """A stream that drops what one thread writes; other threads (a progress bar's) go on."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - any stream
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._thread:
            return len(text)
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the stream's own
        return getattr(self._stream, name)


@contextmanager
def muted(library: str) -> Iterator[None]:
    """Drop what this thread prints, and the warnings and errors that a library logs in it.

    Args:
        library: The top name of its loggers. What is logged at lower levels was asked for.
    """
    thread = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        own = record.name.partition(".")[0] == library and record.thread == thread
        return not own or record.levelno < logging.WARNING

    loggers = [
        logging.getLogger(),
        *(
            logger
            for name, logger in tuple(logging.root.manager.loggerDict.items())
            if isinstance(logger, logging.Logger) and name.partition(".")[0] == library
        ),
    ]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    for handler in handlers:
        handler.addFilter(passes)
    try:
        with ExitStack() as stack:
            if sys.stdout is not None:
                stack.enter_context(redirect_stdout(_Mute(sys.stdout)))
            if sys.stderr is not None:
                stack.enter_context(redirect_stderr(_Mute(sys.stderr)))
            yield
    finally:
        for handler in handlers:
            handler.removeFilter(passes)
