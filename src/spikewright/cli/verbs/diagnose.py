# SPDX-License-Identifier: Apache-2.0
"""``spikewright diagnose``: where the difference to the original network comes from, by layer."""

from typing import Annotated, Literal

from cyclopts import Parameter

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole

__all__ = ["diagnose"]


def diagnose(
    *,
    data: options.Spec = None,
    limit: Whole = None,
    simulator: Literal["collapsed", "timefold", "reference"] | None = None,
    attempts: Annotated[Whole, Parameter(name="--try")] = None,
    network: options.NetworkOptions = options.NETWORK,
    reference: options.ReferenceOptions = options.REFERENCE,
    how: RunOptions = RUN,
) -> int:
    """Find out, layer by layer, what makes a spiking network differ from the original.

    Takes a model to convert on the fly (--model, --calibration), or a saved
    network (--snn) with its original (--reference). Splits every layer's error
    into what it inherits and what goes wrong in it: spikes of inactivated
    neurons, clipping, residual charge, pooling; then says what to do about it,
    and tries the first suggestions itself if asked to (--try).
    Ctrl-C ends it after the batch at hand; what is done by then is shown.

    Args:
        data: Inputs: a name that `spikewright list data` shows, folder:PATH, FILE.npz,
            FILE.npz:PART, or random (noise).
        limit: Use so many inputs, evenly spread over the set.
        simulator: In one pass (collapsed or timefold, by the method's schedule) or tick by tick
            (reference); their spikes are the same. [default: in one pass]
        attempts: Convert again with each of the first so many suggestions, and diagnose the
            results on the same inputs. [default: 0]
        network: The spiking network, or how it is converted.
        reference: What it is compared with.
        how: Where it runs, and what every verb takes.
    """
    from spikewright import api
    from spikewright.cli.items import batches, describe, spread
    from spikewright.cli.networks import original, subject
    from spikewright.cli.options import given
    from spikewright.cli.report import data_text, fit
    from spikewright.cli.trials import trials_text, trials_to_dict, try_suggestions
    from spikewright.diagnosis import Diagnosis
    from spikewright.errors import ConfigError
    from spikewright.network import SpikingNetwork

    terminal = how.terminal
    if data is None:
        raise ConfigError("--data: expected inputs to diagnose on, got none. Name a data set.")
    if attempts is not None and attempts < 0:
        raise ConfigError(f"--try: expected 0 suggestions or more, got {attempts}.")
    if network.snn is not None and attempts:
        raise ConfigError(
            "--try: expected --model with it, got --snn, a saved network, which cannot be "
            "converted again. Give --model SPEC --calibration SPEC."
        )
    if network.snn is not None and reference.reference is None:
        raise ConfigError(
            "--snn: expected --reference SPEC with it, got none. A saved network does not hold "
            "the original one; name it."
        )
    found = subject(network, terminal, how.place)
    items = spread(found.inputs(data, network.images), limit, "--limit")
    ann = original(found, reference, terminal) if given(reference) else None

    def diagnosed(snn: SpikingNetwork) -> Diagnosis:
        """Diagnose a network on the inputs; another schedule may lack the fast simulator named."""
        fits = simulator == "reference" or snn.schedule == found.snn.schedule
        return api.diagnose(
            snn,
            batches(items, network.images, how.place),
            reference=ann,
            simulator=simulator if fits else None,
            progress=terminal.progress,
        )

    diagnosis = diagnosed(found.snn)
    about = describe(items)
    head = f"{found.snn.summary()}\n{data_text(about)}"
    text, outcome = f"{head}\n\n{diagnosis.table()}", {**diagnosis.to_dict(), "data": about}
    stopped = diagnosis.interrupted
    if attempts and not stopped:
        trials = try_suggestions(found.snn, diagnosis, attempts, diagnosed)
        text = f"{text}\n\n{trials_text(trials)}"
        outcome["tried"] = trials_to_dict(trials)
        stopped = len(trials) <= min(attempts, len(diagnosis.suggestions))
    terminal.result(fit(text), outcome)
    return 130 if stopped else 0
