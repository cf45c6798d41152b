# SPDX-License-Identifier: Apache-2.0
"""Whatever is composed of supported operators is converted equal, or refused in our words.

Thousands of models: ``python -m benchmarks.random_models --count 5000``.
"""

import pytest

from tests.property.equality_laws import check

MODELS = 48
GROUP = 12


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, MODELS, GROUP))
def test_random_models_convert_equal_or_are_refused(first: int) -> None:
    outcomes = [check(seed, most=3 if seed % 6 == 0 else 1) for seed in range(first, first + GROUP)]
    assert sum(bool(o.refused) for o in outcomes) <= GROUP // 3
