# SPDX-License-Identifier: Apache-2.0
"""Convert random models and check the equality laws of ``tests/property/equality_laws.py`` on each.

    python -m benchmarks.random_models --start 0 --count 5000

prints what fails, with its seed, and how many models were refused and why.
"""

import argparse
import collections
import re
import time
import traceback

from tests.property.equality_laws import check
from tests.property.random_graphs import draw


def main() -> None:
    """Check many models and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--show", action="store_true", help="print refusals and sources")
    options = parser.parse_args()
    refused: collections.Counter[str] = collections.Counter()
    steps: collections.Counter[str] = collections.Counter()
    failed: list[int] = []
    begin = time.monotonic()
    for i, seed in enumerate(range(options.start, options.start + options.count), 1):
        try:
            outcome = check(seed)
        except Exception as error:
            failed.append(seed)
            text = str(error).splitlines() or [""]
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{where.filename.rsplit('/', 1)[-1]}:{where.lineno}"
            print(f"seed {seed}: {type(error).__name__}: {text[0][:300]} [{place}]", flush=True)
            if options.show:
                print(draw(seed).source)
        else:
            steps.update(draw(seed).steps)
            if outcome.refused:
                lines = outcome.refused.splitlines()
                told = next((x for x in lines if x.startswith("  ")), lines[0])
                refused[re.sub(r"\(random_graph.*?\)|_?\d+", "", told)[:160]] += 1
                if options.show:
                    print(f"seed {seed} refused: {outcome.refused}\n{draw(seed).source}")
        if i % 50 == 0:
            took = time.monotonic() - begin
            print(
                f"{i} models, {took:.0f} s, {len(failed)} failed, {refused.total()} refused",
                flush=True,
            )
    print(
        f"seeds {options.start} to {options.start + options.count - 1}: {options.count} models, "
        f"{len(failed)} failed, {refused.total()} refused"
    )
    for reason, count in refused.most_common():
        print(f"  {count:4}  {reason}")
    print("steps of models that did not fail:", dict(steps.most_common()))
    if failed:
        raise SystemExit(f"failed: {failed}")


if __name__ == "__main__":
    main()
