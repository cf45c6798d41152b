# SPDX-License-Identifier: Apache-2.0
"""The package that docs/extending.md shows is written to a folder, installed, and used."""

import dataclasses
import importlib
import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.cli import main
from spikewright.codes import codes
from spikewright.codes.lookup import with_entry_points
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError
from spikewright.functions import functions
from spikewright.graph import fold_units
from spikewright.methods import MethodConfig, configure, methods
from spikewright.neurons import Firing, neurons, stepping
from spikewright.simulators import simulator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
TEXT = PAGE.read_text(encoding="utf-8")
PACKAGE = "my_package"


def blocks() -> dict[str, str]:
    """Return the page's files: blocks whose first line is a comment with a path."""
    return dict(re.findall(r"```(?:python|toml)\n# ([\w./]+)\n(.*?)```", TEXT, re.DOTALL))


def install(folder: Path, files: dict[str, str]) -> None:
    """Do what pip does: put the modules there, and a dist-info with the entry points."""
    for path, text in files.items():
        if path.startswith(f"{PACKAGE}/"):
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = folder / f"{PACKAGE}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"]
    (info / "METADATA").write_text("".join(lines), encoding="utf-8")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def forget() -> None:
    """Drop the package's modules, and what importlib remembers of folders."""
    for name in [n for n in sys.modules if n == PACKAGE or n.startswith(f"{PACKAGE}.")]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder on sys.path, working directory as well; leave nothing of it behind."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(folder)
    yield folder
    forget()


@pytest.fixture
def installed(site: Path) -> Path:
    """Return the folder with the page's package in it."""
    install(site, blocks())
    forget()
    return site


def test_the_page_holds_every_file_it_names() -> None:
    assert set(blocks()) == {
        "my_package/leaky_if.py",
        "my_package/my_method.py",
        "my_package/late.py",
        "my_package/my_layers.py",
        "my_package/softsign.py",
        "pyproject.toml",
        "use.py",
    }


def test_without_the_package_its_names_are_unknown() -> None:
    assert "my-method" not in methods()
    assert "leaky-if" not in neurons()
    with pytest.raises(UnknownNameError, match="method 'my-method': not known"):
        configure("my-method")


@pytest.mark.usefixtures("installed")
def test_the_neuron_does_what_its_docstring_says() -> None:
    """Worked out by hand, L = 1/256: v = 0.75; 0.75 - L·0.75 + 0.5, minus θ = 1."""
    neuron = stepping("leaky-if")
    current, firing, sent = torch.tensor([[0.75]]), Firing(), []
    state = neuron.begin(current, firing)
    for value in (0.75, 0.5, -3.0):
        spikes = neuron.step_(state, torch.full((1, 1), value), firing, torch.empty(1, 1))
        sent.append((spikes.item(), state["v"].item()))
    second = 0.75 * 255 / 256 + 0.5 - 1.0
    assert sent == [(0.0, 0.75), (1.0, second), (0.0, second * 255 / 256 - 3.0)]
    paired = Firing(signed=True)
    state = neuron.begin(current, paired)
    assert neuron.step_(state, -current * 2, paired, current).item() == -1.0


@pytest.mark.usefixtures("installed")
def test_the_script_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(blocks()["use.py"], "use.py", "exec"), {})
    assert "T=64" in re.sub(r"\s*=\s*", "=", capsys.readouterr().out)


@pytest.mark.usefixtures("installed")
def test_convert_evaluate_save_and_load() -> None:
    """At most θ/256 leaks in a step, one spike in 256 steps; flooring leaves another: 2λ/T."""
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    data = torch.randn(32, 6)
    network = sw.convert(model, "my-method", T=256, calibration=data)
    assert network.neuron_name == "leaky-if"
    assert network.provenance["method"] == "my-method"
    with torch.no_grad():
        error = (sw.simulate(network, data) - model(data)).abs()
    (node,) = network.spiking_nodes()
    scale = network.sites[node.name].scale.expand(16)
    assert bool((error <= model[2].weight.abs() @ scale * (2 / 256) + 1e-5).all())
    assert torch.equal(
        sw.simulate(network, data), simulator(network, "reference")(network.check_input(data))[0]
    )
    result = sw.evaluate(network, data, reference=model).lengths[0]
    assert sum(layer.spikes for layer in result.layers) > 0
    network.save("snn.safetensors")
    assert torch.equal(sw.simulate(sw.load("snn.safetensors"), data), sw.simulate(network, data))


@pytest.mark.usefixtures("installed")
def test_a_code_and_a_layered_method_of_another_package() -> None:
    """Runs of n spikes at the end: T = 6, 2.6 is two spikes in the last two steps."""
    late = codes()["late"](T=6)  # type: ignore[call-arg]
    assert late.encode(torch.tensor([2.6, -1.0])).T.tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6]
    assert late.decode(late.encode(torch.tensor([-3.0]), signed=True)).tolist() == [-3.0]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 9), nn.ReLU(), nn.Linear(9, 4))
    data = torch.randn(32, 6)
    network = sw.convert(model, "my-layers", T=200, calibration=data)
    assert (network.code_name, network.neuron_name) == ("late", "encoder")
    assert sw.verify(network, data[:4]).agrees
    with torch.no_grad():
        assert float((network(data) - model(data)).norm() / model(data).norm()) < 0.01
    result = sw.evaluate(network, data).lengths[0]
    decoded = [layer for layer in result.layers if layer.kind == "neurons"]
    assert sum(layer.spikes for layer in decoded) > 0
    network.save("late.safetensors")
    assert torch.equal(sw.load("late.safetensors")(data), network(data))
    integer = sw.convert(model, "my-layers", T=9, calibration=data).to_integer()
    assert sw.verify(integer, data).agrees


@pytest.mark.usefixtures("installed")
def test_a_function_of_another_package() -> None:
    torch.manual_seed(0)
    model, data = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4)), torch.randn(32, 6)
    network = sw.convert(model, T=12, calibration=data)
    (node,) = network.spiking_nodes()
    site = network.sites[node.name]
    softsign = functions()["softsign"]()
    own = dataclasses.replace(site, function=softsign, signed=True, scale=torch.ones(16))
    graph = fold_units(network.graph, {node.name: own.scale / site.scale})
    network = dataclasses.replace(network, graph=graph, sites={**network.sites, node.name: own})
    with torch.no_grad():
        hidden = model[0](data)
        wanted = model[2](hidden / (1 + hidden.abs()))
    assert float((network(data) - wanted).norm() / wanted.norm()) < 1e-3
    assert sw.verify(dataclasses.replace(network, source=None), data).agrees
    network.save("softsign.safetensors")
    again = sw.load("softsign.safetensors")
    assert again.sites[node.name].function == softsign
    assert torch.equal(again(data), network(data))


@pytest.mark.usefixtures("installed")
def test_its_settings_are_settings_like_others() -> None:
    config = configure("my-method", headroom=1.5, T=9)
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ConfigError, match=r"headroom: expected a factor of at least 1, got 0\.5"):
        configure("my-method", headroom=0.5)
    with pytest.raises(
        ConfigError, match=r"my-method: unknown option\(s\) tau\. Known: .*headroom"
    ):
        configure("my-method", tau=1)
    model, data = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(8, 3)
    scales = [
        sw.convert(model, "my-method", headroom=h, calibration=data).sites for h in (1.0, 1.5)
    ]
    name = next(n for n in scales[0] if scales[0][n].neuron == "leaky-if")
    assert torch.allclose(scales[1][name].scale, 1.5 * scales[0][name].scale)


def test_a_file_needs_the_package_of_its_neurons(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, blocks())
    forget()
    model, data = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(8, 3)
    sw.convert(model, "my-method", T=4, calibration=data).save("snn.safetensors")
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(site)])
    forget()
    with pytest.raises(FileFormatError, match=r"'leaky-if'.*Install the package"):
        sw.load("snn.safetensors")


@pytest.mark.usefixtures("installed")
def test_the_command_lines_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^spikewright (.*)$", TEXT, re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["list", "convert", "evaluate"]
    for line in lines:
        assert main(shlex.split(line)) == 0, capsys.readouterr().err
    assert sw.load("snn.safetensors").neuron_name == "leaky-if"


@pytest.mark.usefixtures("installed")
def test_list_shows_both_with_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (method,) = (m for m in found["methods"] if m["name"] == "my-method")
    (neuron,) = (n for n in found["neurons"] if n["name"] == "leaky-if")
    assert method["text"] == "Leaky neurons with room above the largest activation."
    assert neuron["text"] == "Integrate-and-fire with a leak: old charge counts less than new."
    options = {o["name"]: o["text"] for o in method["options"]}
    assert options["headroom"] == "λ is the scale rule's times this, ≥ 1."
    assert "T" in options


@pytest.mark.parametrize(
    ("group", "entry", "message"),
    [
        (
            "neurons",
            'x = "my_package.my_method:MyMethod"',
            "expected a Stepping or Accumulating of that name",
        ),
        ("neurons", 'x = "my_package.leaky_if:LeakyIF"', "entry point 'x' of spikewright.neurons"),
        ("methods", 'x = "my_package.leaky_if:LeakyIF"', "expected a MethodConfig of that name"),
        ("neurons", 'burst = "my_package.other:Other"', "another class has this one already"),
    ],
)
def test_entries_that_are_wrong_are_named(site: Path, group: str, entry: str, message: str) -> None:
    files = blocks()
    files["my_package/other.py"] = files["my_package/leaky_if.py"].replace('"leaky-if"', '"burst"')
    files["my_package/other.py"] = files["my_package/other.py"].replace("LeakyIF", "Other")
    files["pyproject.toml"] = (
        f'[project]\nname = "my-package"\nversion = "1.0"\n'
        f'[project.entry-points."spikewright.{group}"]\n{entry}\n'
    )
    install(site, files)
    forget()
    with pytest.raises(ConfigError, match=message):
        neurons() if group == "neurons" else methods()


def test_no_entry_of_a_group_leaves_the_table_as_it_is() -> None:
    known = methods()
    assert with_entry_points(known, "spikewright.none", MethodConfig).names() == known.names()
