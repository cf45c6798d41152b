# SPDX-License-Identifier: Apache-2.0
"""The verbs put together; made anew for every run, so that nothing is carried over."""

from collections.abc import Callable, Mapping
from pathlib import Path

from cyclopts import App, Parameter
from cyclopts.config import Dict

import spikewright
from spikewright.cli.settings import read_settings
from spikewright.cli.verbs.compare import compare
from spikewright.cli.verbs.convert import convert
from spikewright.cli.verbs.demo import demo
from spikewright.cli.verbs.diagnose import diagnose
from spikewright.cli.verbs.env import env
from spikewright.cli.verbs.evaluate import evaluate
from spikewright.cli.verbs.export import export
from spikewright.cli.verbs.inspect import inspect
from spikewright.cli.verbs.list import list_
from spikewright.cli.verbs.report import report
from spikewright.cli.verbs.train import train
from spikewright.cli.verbs.verify import verify

__all__ = ["build", "option_names"]

_ABOUT = """Turns trained neural networks into spiking ones and measures what they cost.

Start with `spikewright demo`. Help on a verb: `spikewright VERB --help`.

Exit codes: 0 done, 1 finding (not convertible, or does not agree), 2 misuse,
3 defect of this program.
"""

_VERBS: Mapping[str, Callable[..., int]] = {
    "demo": demo,
    "inspect": inspect,
    "convert": convert,
    "evaluate": evaluate,
    "compare": compare,
    "diagnose": diagnose,
    "report": report,
    "verify": verify,
    "export": export,
    "train": train,
    "list": list_,
    "env": env,
}


def build(settings: Path | None = None) -> App:
    """Put the command together.

    Args:
        settings: TOML file that fills options which the command line leaves out.

    Returns:
        The command; verbs return their exit code.

    Raises:
        FileFormatError: If the file is missing or no TOML.
        UnknownNameError: If one of its keys is no option.
        ConfigError: If one of its tables is none.
    """
    app = App(
        name="spikewright",
        help=_ABOUT,
        help_format="plaintext",
        version=spikewright.__version__,
        version_flags=["--version"],
        default_parameter=Parameter(negative="", show_default=False),
    )
    for order, (name, verb) in enumerate(_VERBS.items()):
        app.command(verb, name, sort_key=order)
    if settings is not None:
        app.config = [Dict(read_settings(settings, option_names(app)), source=settings.name)]
    return app


def option_names(app: App) -> Mapping[str, frozenset[str]]:
    """Return the long names of every verb's options, without dashes in front."""
    return {
        verb: frozenset(
            argument.names[0].removeprefix("--")
            for argument in app[verb].assemble_argument_collection()
            if argument.parse and argument.names[0].startswith("--")
        )
        for verb in _VERBS
    }
