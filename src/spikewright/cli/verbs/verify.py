# SPDX-License-Identifier: Apache-2.0
"""``spikewright verify``: prove that independent computations of a network give the same spikes."""

from spikewright.cli import options
from spikewright.cli.machine import RUN, RunOptions
from spikewright.cli.option_values import Whole

__all__ = ["verify"]


def verify(
    *,
    data: options.Spec = None,
    samples: Whole = 8,
    integer: bool = False,
    network: options.NetworkOptions = options.NETWORK,
    reference: options.ReferenceOptions = options.REFERENCE,
    how: RunOptions = RUN,
) -> int:
    """Prove on a few inputs that the network fires the same spikes however it is run.

    Tick by tick and in one pass; and that with exact neurons it computes the original network.
    Takes a model to convert on the fly, or a saved network, with its original (--reference) if
    that is to be compared as well. Exit code 1: something does not agree.

    Args:
        data: Inputs; those of --calibration where not given. random: noise of the right shape.
        samples: How many inputs, evenly spread over the set. [default: 8]
        integer: Check the integer form as well, in which every spike must be the same.
        network: The spiking network, or how it is converted.
        reference: The original network of a saved one.
        how: Where it runs, and what every verb takes.
    """
    from spikewright import api
    from spikewright.cli.items import batches, describe, spread
    from spikewright.cli.networks import original, subject
    from spikewright.cli.options import given
    from spikewright.cli.report import fit
    from spikewright.errors import ConfigError

    terminal = how.terminal
    found = subject(network, terminal, how.place)
    items = found.calibration
    if data is not None:
        items = found.inputs(data, network.images)
    if items is None:
        raise ConfigError(
            "--data: expected inputs, got none. Name a set; --data random takes noise."
        )
    items = spread(items, samples, "--samples")
    forms = {"integer" if found.snn.integer else "float": found.snn}
    if integer and not found.snn.integer:
        forms["integer"] = found.snn.to_integer()
    ann = original(found, reference, terminal, how.place) if given(reference) else None
    x = next(iter(batches(items, options.DataOptions(batch_size=samples))))[0]
    checks = {
        form: api.verify(snn, x, reference=ann, progress=terminal.progress)
        for form, snn in forms.items()
    }
    agrees = all(check.agrees for check in checks.values())
    text = "\n\n".join(check.table() for check in checks.values())
    terminal.result(
        fit(f"{describe(items)['name']}\n{text}"),
        {
            "schema": "spikewright.verify/3",
            "agrees": agrees,
            "data": describe(items),
            "checks": {form: check.to_dict() for form, check in checks.items()},
        },
    )
    return 0 if agrees else 1
