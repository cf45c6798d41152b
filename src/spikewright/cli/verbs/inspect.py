# SPDX-License-Identifier: Apache-2.0
"""``spikewright inspect``: what would become of a model, without any data."""

from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.terminal import Terminal

__all__ = ["inspect"]


def inspect(
    *,
    model: options.ModelOptions = options.MODEL,
    data: options.Spec = None,
    input_: Annotated[Literal["analog", "encoded"], Parameter(name="--input")] = "analog",
    analog_relay: Annotated[tuple[str, ...], Parameter(metavar="PATH")] = (),
    functions: Literal["unit", "few-spikes"] = "unit",
    images: options.DataOptions = options.IMAGES,
    how: RunOptions = RUN,
) -> int:
    """Tell which parts of a model would become spiking, stay analog, or cannot be taken.

    Needs no data, only the shape of an input. Exit code 1: not convertible.

    Args:
        data: Take the shape of an input from this data set.
        input_: Whether the input would be a constant current or enter as spikes. [default: analog]
        analog_relay: Module path, re:PATTERN or all: a relay that would stay analog. Repeatable.
        functions: Whether function units or few-spikes neurons would compute functions.
        model: The network, as trained.
        images: How images become inputs.
        how: Where it runs, and what every verb takes.
    """
    import torch

    from spikewright import api
    from spikewright.cli.items import sample_shape
    from spikewright.cli.report import fit
    from spikewright.cli.sources import open_data, open_model, require_runs
    from spikewright.errors import ConfigError, UnsupportedModuleError
    from spikewright.graph import Inspection

    terminal = how.terminal
    # Weights do not matter here.
    network = open_model(model, Terminal(quiet=True), place=how.place)
    shape = model.shape
    if data is not None:
        shape = sample_shape(open_data(data, "--data", images, shape=shape))
    if shape is None:
        raise ConfigError("--shape: expected the shape of one input. Give --shape C,H,W or --data.")
    if min(shape) < 1:
        raise ConfigError(f"--shape: expected sizes of at least 1, got {shape}. Correct it.")
    try:
        found = api.inspect(
            network,
            torch.zeros(2, *shape, device=how.place),
            encode_input=input_ == "encoded",
            analog_relays=analog_relay,
            functions=functions,
            progress=how.terminal.progress,
        )
    except UnsupportedModuleError as error:  # it could not even be captured: a finding as well
        require_runs(network, shape)
        found = Inspection((), str(error))
    data_ = {
        "schema": "spikewright.inspect/1",
        "model": model.model,
        "shape": list(shape),
        **found.to_dict(),
    }
    verdict = found.table() if found.rows else f"not convertible: {found.reason}"
    terminal.result(fit(f"{model.model}, input {','.join(map(str, shape))}\n{verdict}"), data_)
    return 0 if found.is_convertible else 1
