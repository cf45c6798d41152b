# SPDX-License-Identifier: Apache-2.0
"""Law of the integer program: whatever network it can say, its reader finds every bit of it."""

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st

import spikewright as sw
from spikewright.errors import UnsupportedModuleError
from tests.property.random_nets import Net, joined_nets, nets

PHASES = (Phase.explicit, Phase.generate)  # every example exports a network
EXAMPLES = 6

READER = importlib.util.spec_from_file_location(
    "replay", Path(__file__).parents[2] / "docs" / "replay.py"
)
assert READER is not None
assert READER.loader is not None
replay = importlib.util.module_from_spec(READER)
READER.loader.exec_module(replay)


@settings(max_examples=EXAMPLES, phases=PHASES)
@given(
    st.one_of(nets(), joined_nets()),
    st.fixed_dictionaries(
        {
            "T": st.integers(1, 8),
            "input": st.sampled_from(["analog", "encoded"]),
            "per_channel": st.booleans(),
            "rounding": st.booleans(),
            "extra_step": st.booleans(),
        }
    ),
)
def test_the_reader_finds_every_bit_of_any_network_that_is_not_refused(
    net: Net, chosen: dict[str, Any]
) -> None:
    model, x = net.build()
    snn = sw.convert(model, calibration=x, k=2.0, **chosen).to_integer()
    with TemporaryDirectory() as folder:
        try:
            sw.export(snn, Path(folder) / "v", to="vectors", inputs=x[:4])
        except UnsupportedModuleError:
            reject()
        assert replay.main(Path(folder) / "v") == 0
    assert sw.verify(snn, x[:4]).agrees  # on bytes, where there are any, and tick by tick
