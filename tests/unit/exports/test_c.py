# SPDX-License-Identifier: Apache-2.0
"""The C file gives the words of the golden vectors; compilers and sanitizers do not complain."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

import spikewright as sw
from benchmarks._data import case
from spikewright.cli.demo_training import as_tensors, train
from spikewright.data import load_digits
from spikewright.exports import lower
from spikewright.exports.c import c_source
from spikewright.exports.c.plan import c_type
from spikewright.network import SpikingNetwork
from tests.unit.exports.conftest import Deep, Made, Wide

COMPILER = shutil.which("gcc") or shutil.which("cc")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2")
SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def compiled(folder: Path, *flags: str) -> Path:
    """Compile the file of a folder with every complaint an error."""
    assert COMPILER is not None
    program = folder.parent / "program"
    command = [COMPILER, *STRICT, *flags, "-DSPIKEWRIGHT_MAIN", "-DSPIKEWRIGHT_TRACE"]
    subprocess.run([*command, str(folder / "network.c"), "-o", str(program)], check=True)
    return program


def words_that_differ(snn: SpikingNetwork, x: Tensor, place: Path, *flags: str) -> tuple[int, int]:
    """Run inputs through the C file; return how many words there are and how many differ."""
    sw.export(snn, place / "v", to="vectors", inputs=x, samples=len(x))
    manifest = sw.export(snn, place / "c", to="c").manifest
    vectors = load_file(place / "v" / "vectors.safetensors")
    weights = 2 ** np.arange(snn.steps - 1, -1, -1)

    def expected(name: str) -> Any:
        if f"spikes/{name}" in vectors:
            return np.tensordot(vectors[f"spikes/{name}"].astype(np.int64), weights, (1, 0))
        return vectors.get(f"integers/{name}", vectors.get(f"potential/{name}"))

    given = [expected(i["name"]).astype(i["type"]) for i in manifest["inputs"]]
    raw = b"".join(value[k].tobytes() for k in range(len(x)) for value in given)
    run = [str(compiled(place / "c", *flags))]
    got = subprocess.run(run, input=raw, capture_output=True, check=True).stdout
    parts = manifest["trace"] + manifest["outputs"]
    row = np.dtype([(str(i), p["type"], (int(np.prod(p["shape"])),)) for i, p in enumerate(parts)])
    found = np.frombuffer(got, row)
    assert len(found) == len(x)
    pairs = [(found[str(i)], expected(p["name"]).reshape(len(x), -1)) for i, p in enumerate(parts)]
    assert {p["name"] for p in parts} >= {
        n.name for n in snn.spiking_nodes() if "input" not in n.name
    }
    return sum(e.size for _, e in pairs), sum(int((f != e).sum()) for f, e in pairs)


@needs_compiler
@pytest.mark.parametrize(
    ("model", "options"),
    [
        (Wide, {}),
        (Wide, {"input": "encoded", "per_channel": True, "T": 12}),
        (Deep, {"extra_step": True, "T": 8}),
        (Deep, {"T": 20, "input": "encoded"}),
    ],
)
def test_every_word_is_that_of_the_golden_vectors_under_sanitizers(
    model: type[nn.Module], options: dict[str, Any], made: Made, tmp_path: Path
) -> None:
    snn, x = made(model, **options)
    words, differ = words_that_differ(snn, x[:20], tmp_path, *SANITIZED)
    assert words > 0
    assert differ == 0


@needs_compiler
def test_the_digits_network_gives_the_same_words(tmp_path: Path) -> None:
    x, y = as_tensors(load_digits("train"), torch.device("cpu"))
    model = train(x, y, 1, progress=False).model
    snn = sw.convert(model, T=8, calibration=x[:256]).to_integer()
    tests, _ = as_tensors(load_digits("test"), torch.device("cpu"))
    words, differ = words_that_differ(snn, tests[:20], tmp_path)
    assert (words, differ) == (20 * (3 * 28 * 64 + 28 * 16 + 56 * 16 + 56 * 4 + 10), 0)


@needs_compiler
@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_real_networks_give_the_same_words(name: str, data_dir: Path, tmp_path: Path) -> None:
    real = case(name, data_dir)
    snn = sw.convert(real.model, T=8, calibration=real.calibration(64)).to_integer()
    x = torch.cat([images for images, _ in real.test(20)])[:20]
    words, differ = words_that_differ(snn, x, tmp_path)
    assert words > 1_000_000
    assert differ == 0


@needs_compiler
def test_the_program_tells_its_sizes(made: Made, tmp_path: Path) -> None:
    found = sw.export(made(Deep)[0], tmp_path / "c", to="c")
    said = f"RAM {found.manifest['ram_bytes']} bytes, flash {found.manifest['flash_bytes']} bytes"
    run = [str(compiled(tmp_path / "c")), "--sizes"]
    assert subprocess.run(run, capture_output=True, check=True, text=True).stdout == f"{said}\n"
    assert said in (tmp_path / "c" / "network.c").read_text()


def test_no_heap_and_nothing_but_standard_headers(made: Made) -> None:
    text = c_source(lower(made(Wide)[0])).text
    includes = {line for line in text.splitlines() if line.startswith("#include")}
    assert includes == {"#include <stdint.h>", "#include <stdio.h>"}
    assert "alloc" not in text


def test_memory_of_trains_is_used_again(made: Made) -> None:
    """Five layers of the same size take the room of two."""
    torch.manual_seed(0)
    layers = [part for _ in range(5) for part in (nn.Linear(16, 16), nn.ReLU())]
    snn = sw.convert(nn.Sequential(*layers, nn.Linear(16, 2)), T=8, calibration=torch.rand(9, 16))
    assert c_source(lower(snn.to_integer())).ram_bytes == 32


def test_a_type_holds_the_ends_of_its_range() -> None:
    for bits in (8, 16):
        assert c_type(0, (1 << bits) - 1) == f"uint{bits}_t"
        assert c_type(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) == f"int{bits}_t"
        assert c_type(-1, 1 << (bits - 1)) == f"int{2 * bits}_t"
    assert c_type(0, 1 << 8) == "uint16_t"
    assert c_type(0, 1 << 16) == c_type(0, 1, 32) == "int32_t"
    assert c_type(0, 1 << 31) == c_type(-(1 << 31) - 1, 0) == "int64_t"
