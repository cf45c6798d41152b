# SPDX-License-Identifier: Apache-2.0
"""The whole command line: every verb on a small network, every misuse with its one-line answer."""

import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import spikewright
from spikewright import api
from spikewright.cli import demo_run, demo_text, main
from spikewright.energy import choose_models
from spikewright.network import load
from spikewright.text import counted

HEAVY = ("torch", "numpy", "safetensors", "torchvision", "PIL")
VERBS = (
    *("demo", "inspect", "train", "convert", "evaluate", "verify", "compare", "diagnose"),
    *("report", "list", "env", "export"),
)

MODELS = """
from torch import nn

def jump():
    act = nn.Threshold(1.0, 0.0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), act, nn.Flatten(), nn.Linear(72, 10))

def relu():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))

def five():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Command:
    """Runs the command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Outcome:
        self._capsys.readouterr()
        code = main([str(word) for word in words])
        return Outcome(code, *self._capsys.readouterr())


@pytest.fixture
def spikewright_command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short demo writes; the other tests use its weights and its network."""
    folder, said = tmp_path_factory.mktemp("demo") / "out", io.StringIO()
    folder.mkdir()
    (folder / "summary.txt").write_text("mine")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(demo_run, "TUNING_EPOCHS", 1)
        assert main(["demo", "--epochs", "2", "--quiet", "--force", "-o", str(folder)]) == 0
    (folder.parent / "said.txt").write_text(said.getvalue())
    return folder


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a demo in a process of its own prints into a pipe, and where it has worked."""
    folder = tmp_path_factory.mktemp("told")
    done = process("-m", "spikewright", "demo", "--epochs", 1, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, folder


@pytest.fixture
def run(spikewright_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, in an empty folder that holds a file of models."""
    (tmp_path / "nets.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return spikewright_command


TRAINED = ("--model", "digits-cnn", "--calibration", "digits-train", "--calibration-samples", "64")


# Misuse: exit code 2, nothing on standard output, one line that says what to do.
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("convrt", 'Unknown command "convrt". Did you mean "convert"?'),
        (
            "inspect --modle x",
            "Unknown option: --modle. Did you mean --model? See: spikewright ins",
        ),
        ("env extra", "'extra': expected an option, got a bare word. See: spikewright env --help"),
        ("convert --T", "parameter --T requires an argument. See: spikewright convert --help"),
        ("convert --T 2.5", "--T: expected a whole number, got '2.5'."),
        ("convert --scale maxx", 'Invalid value "maxx" for --scale. Choose from: "min-error"'),
        ("list metods", 'Invalid value "metods" for KIND. Choose from: "methods"'),
        ("inspect --shape 1,8,8", "--model: expected a model, got none."),
        (
            "inspect --model digits-cn --shape 1,8,8",
            "model 'digits-cn': not known. Did you mean 'd",
        ),
        ("inspect --model nets.py:relo --shape 1,8,8", "function 'relo': not known. Did you mean"),
        ("inspect --model digits-cnn", "--shape: expected the shape of one input."),
        ("inspect --model digits-cnn --shape 1,0,8", "--shape: expected sizes of at least 1"),
        ("inspect --model digits-cnn --shape 3,8,8", "--shape: expected a model and inputs that f"),
        ("inspect --model torchvision:resnet81 --shape 3,8,8", "torchvision model 'resnet81': not"),
        ("convert --model digits-cnn", "--calibration: expected data to choose the scales on"),
        ("convert --model digits-cnn --weights no.pt", "no.pt: expected a weights file, got no f"),
        ("convert --calibration digits-tran --model digits-cnn", "Did you mean 'digits-train'"),
        ("convert --model digits-cnn --method spikconverter", "spikeconverter"),
        ("convert --model digits-cnn --set kk=2", "spikeconverter: option 'kk': not known."),
        ("convert --model digits-cnn --T 0", "time steps T >= 1, got T=0."),
        ("convert --model digits-cnn --k 2.5", "expected k in (1, 2], got k=2.5."),
        ("convert --model digits-cnn -o no/x", "expected a folder no to write to, got none."),
        ("convert --model digits-cnn -o .", "expected a file to write, got a folder."),
        ("convert --model digits-cnn --calibration random", "--calibration random: expected the s"),
        ("convert --model digits-cnn --calibration no.npz", "no.npz: expected a file, got none."),
        ("convert --model digits-cnn --calibration folder:no", "expected a folder of images, got"),
        (
            "convert --model resnet20 --calibration digits-train --shape 3,32,32",
            "--calibration digits-train: expected inputs of shape 3,32,32 (from --shape), got 1",
        ),
        (
            "convert --model nets.py:jump --calibration digits-train --calibration-samples 8",
            "threshold",
        ),
        ("convert --config no.toml", "no.toml: expected a TOML file"),
        ("evaluate --snn x.safetensors", "--data: expected inputs to measure on, got none."),
        ("evaluate --data digits-test", "--snn, --model: expected a network, got none."),
        ("evaluate --data digits-test --snn no.safetensors", "no.safetensors: expected a file"),
        ("evaluate --data digits-test --snn x --lengths 4", "--lengths: expected --model, got --s"),
        (
            "evaluate --data digits-test --snn x --model y --T 4 --calibration z",
            "--snn: expected a converted network alone, got also --model, --calibration, --T",
        ),
        ("demo --epochs 0", "--epochs: expected at least 1, got 0."),
        ("demo -o nets.py", "nets.py: expected a folder, got a file."),
        ("demo -o no/where", "expected a folder no to make it in, got none."),
    ],
)
def test_misuse(run: Command, line: str, message: str) -> None:
    outcome = run(*line.split(), "--quiet")
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1 or "threshold" in message  # lists of places have lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "evaluate --data digits-test --size 4",
            "expected inputs of shape 1,8,8 (from the network)",
        ),
        ("evaluate --data digits-test --limit 0", "--limit: expected at least 1, got 0."),
        ("evaluate --data digits-test --batch-size 0", "batch_size: expected at least 1, got 0."),
        (
            "evaluate --data digits-test --reference resnet20",
            "--reference resnet20: expected a mod",
        ),
        (
            "evaluate --data digits-test --reference nets.py:five",
            "expected (10,) outputs, got (5,)",
        ),
        (
            "evaluate --data digits-test --reference-weights x",
            "--reference-weights: expected --ref",
        ),
        ("evaluate --data random --mean 1", "--data random: expected no --mean, because these dat"),
        ("evaluate --data mnist-test", "mnist-test: expected the folder that holds MNIST/raw"),
        ("evaluate --data digits-test -o nets.py", "nets.py: exists already. Replace it with --fo"),
        ("verify", "--data: expected inputs, got none."),
        ("verify --data digits-test --samples 0", "--samples: expected at least 1, got 0."),
    ],
)
def test_misuse_of_a_saved_network(
    run: Command, demo_folder: Path, line: str, message: str
) -> None:
    outcome = run(*line.split(), "--snn", demo_folder / "snn.safetensors", "--quiet")
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_files_that_are_no_saved_network(run: Command, demo_folder: Path) -> None:
    whole = (demo_folder / "snn.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    changed = bytearray(whole)
    changed[-1] ^= 1
    Path("changed.safetensors").write_bytes(changed)
    for name, message in {
        "cut.safetensors": "got a damaged or truncated one",
        "changed.safetensors": "its content does not match its digest",
        "nets.py": "got a damaged or truncated one",
        str(demo_folder / "digits.safetensors"): "got a safetensors file of another kind",
    }.items():
        outcome = run("verify", "--data", "random", "--snn", name)
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err


def test_settings_that_do_not_fit(run: Command) -> None:
    for text, message in {
        "modle = 1": "run.toml: option 'modle': not known. Did you mean 'model'",
        "[verfy]\nT = 8": "run.toml: option 'verfy': not known. Did you mean '[verify]'",
        "[verify]\nlengths = [4]": "run.toml [verify]: option 'lengths': not known.",
        "T = 2.5": "Invalid value for [T] from run.toml: expected a whole number, got '2.5'.",
        "T = = 3": "run.toml: expected a TOML file, got one that cannot be read",
    }.items():
        Path("run.toml").write_text(text)
        outcome = run("verify", "--config", "run.toml")
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err


def test_the_traceback_is_there_if_wanted(run: Command) -> None:
    assert "Traceback" not in run("inspect", "--model", "x").err
    outcome = run("inspect", "--model", "x", "--debug")
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("error: model 'x': not known.")


def test_a_defect_is_not_taken_for_a_finding(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError("oh")

    monkeypatch.setattr(api, "inspect", broken)
    outcome = run("inspect", "--model", "digits-cnn", "--shape", "1,8,8")
    assert outcome.code == 3
    assert outcome.err.startswith("error: AssertionError: oh\nThis is a defect of Spikewright")


def test_an_interrupt_leaves_one_line_and_no_file(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "convert", interrupted)
    outcome = run("convert", *TRAINED, "--quiet")
    assert outcome == Outcome(130, "", "interrupted: no file is left half-written.\n")
    assert [path.name for path in Path().iterdir()] == ["nets.py"]


# Findings: exit code 1.
def test_inspect_names_what_cannot_be_taken(run: Command) -> None:
    outcome = run("inspect", "--model", "nets.py:jump", "--shape", "1,8,8")
    assert outcome.code == 1
    assert "not convertible" in outcome.out
    assert re.search(r"^1 +threshold +refused", outcome.out, re.MULTILINE | re.IGNORECASE)
    found = run("inspect", "--model", "nets.py:jump", "--shape", "1,8,8", "--json")
    assert found.code == 1
    assert found.json["convertible"] is False
    assert found.json["shape"] == [1, 8, 8]


def test_inspect_of_a_model_that_cannot_be_captured(run: Command) -> None:
    Path("odd.py").write_text(
        "from torch import nn\n"
        "class Odd(nn.Module):\n"
        "    def forward(self, x):\n"
        "        return x if x.sum().item() > 1 else -x\n"
    )
    outcome = run("inspect", "--model", "odd.py:Odd", "--shape", "4")
    assert outcome.code == 1
    said = " ".join(outcome.out.split())
    assert "not convertible: Odd (odd.py:4 in forward): expected the same operators" in said
    assert all(len(line) <= 80 for line in outcome.out.splitlines())


def test_verify_fails_if_the_simulators_disagree(
    run: Command, demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = api.verify

    def disagreeing(*arguments: object, **reference: object) -> object:
        check = whole(*arguments, **reference)
        first = dataclasses.replace(check.sites[0], mismatches=3)
        return dataclasses.replace(check, sites=(first, *check.sites[1:]))

    monkeypatch.setattr(api, "verify", disagreeing)
    words = ("verify", "--snn", demo_folder / "snn.safetensors", "--data", "digits-test")
    outcome = run(*words)
    assert outcome.code == 1
    assert "DISAGREE" in outcome.out
    assert run(*words, "--json").json["agrees"] is False


# What works.
def test_inspect(run: Command) -> None:
    outcome = run("inspect", "--model", "digits-cnn", "--data", "digits-test")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("digits-cnn, input 1,8,8\nconvertible\n")
    found = run(
        "inspect", "--model", "digits-cnn", "--shape", "1,8,8", "--input", "encoded", "--json"
    )
    assert found.json["convertible"] is True
    assert len(found.json["rows"]) > 8


def test_convert_then_evaluate_then_verify(run: Command, demo_folder: Path) -> None:
    weights = ("--weights", demo_folder / "digits.safetensors")
    done = run("convert", *TRAINED, *weights, "--T", 6, "-o", "my.safetensors", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["T"] == 6
    assert done.json["output"] == "my.safetensors"
    provenance = load("my.safetensors").provenance
    assert provenance["calibration_samples"] == 64
    assert provenance["preprocess"]["channels"] == "L"

    again = run("convert", *TRAINED, *weights, "-o", "my.safetensors")
    assert again.code == 2
    assert "my.safetensors: exists already. Replace it with --force" in again.err
    forced = run("convert", *TRAINED, *weights, "--T", 5, "-o", "my.safetensors", "--force")
    assert forced.code == 0
    assert "written: my.safetensors" in forced.out

    reference = ("--reference", "digits-cnn", "--reference-weights", weights[1])
    words = ("evaluate", "--snn", "my.safetensors", "--data", "digits-test", *reference)
    measured = run(*words, "--layers", "--limit", 100, "-o", "result.json")
    assert measured.code == 0
    assert "DigitsCNN converted by spikeconverter" in measured.out
    assert "digits-test, 100 of its 445 inputs" in measured.out
    assert "÷ 5-bit" in measured.out
    assert "loihi" in measured.out
    assert (
        "From input to decision it takes 25 ticks; a new input can enter every 5." in measured.out
    )
    assert "block_conv1" in measured.out
    assert max(map(len, measured.out.splitlines())) <= 80
    result = json.loads(Path("result.json").read_text())
    assert result["data"]["samples"] == 100
    assert [length["T"] for length in result["lengths"]] == [5]
    assert len(result["lengths"][0]["accuracy"]) == 5
    assert result["lengths"][0]["agreement"][-1] > 0.9

    assert [e["index"] for e in result["examples"]] == [0, 25, 50, 75]
    assert [e["model"] for e in result["energy"]] == [m.name for m in choose_models()]

    alone = run(*words, "--limit", 100, "--json", "--examples", 4)
    assert alone.json == result
    priced = run(*words, "--limit", 10, "--json", "--energy", "loihi", "--energy", "int8").json
    assert [e["model"] for e in priced["energy"]] == ["loihi", "int8"]
    assert priced["examples"] == []
    unknown = run(*words, "--limit", 10, "--energy", "loih")
    assert (unknown.code, unknown.out) == (2, "")
    assert "energy model 'loih': not known. Did you mean 'loihi'" in unknown.err

    proof = run("verify", "--snn", "my.safetensors", "--data", "random", "--integer", "--json")
    assert (proof.code, proof.json["agrees"]) == (0, True)
    assert set(proof.json["checks"]) == {"float", "integer"}
    assert proof.json["checks"]["integer"]["samples"] == 8


def test_the_integer_form_is_the_same_in_both_simulators(run: Command, demo_folder: Path) -> None:
    weights = ("--weights", demo_folder / "digits.safetensors")
    done = run("convert", *TRAINED, *weights, "--T", 5, "--integer", "-o", "int.safetensors")
    assert done.code == 0
    assert "in integer arithmetic" in done.out
    words = ("evaluate", "--snn", "int.safetensors", "--data", "digits-test", "--limit", 64)
    ticks = run(*words, "--json", "--simulator", "reference")
    assert ticks.json["lengths"] == run(*words, "--json").json["lengths"]
    proof = run("verify", *words[1:5], "--integer", "--json")
    assert (proof.code, list(proof.json["checks"])) == (0, ["integer"])


def test_evaluate_on_the_fly_at_several_lengths(run: Command, demo_folder: Path) -> None:
    words = ("evaluate", *TRAINED, "--weights", demo_folder / "digits.safetensors")
    outcome = run(*words, "--data", "digits-test", "--limit", 50, "--lengths", "3,6", "--json")
    assert outcome.code == 0
    assert [length["T"] for length in outcome.json["lengths"]] == [3, 6]
    assert outcome.json["reference_samples"] == 50  # the model itself is the reference


def test_verify_on_the_fly_takes_the_calibration_data(run: Command) -> None:
    random = ("--calibration", "random", "--calibration-samples", 16)
    model = ("--model", "nets.py:relu", "--shape", "1,8,8", "--T", 4, "--batch-size", 4)
    outcome = run("verify", *model, *random, "--samples", 6)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("random\nreference and collapsed agree")
    assert "6 inputs" in outcome.out


def test_settings_from_a_file(run: Command, demo_folder: Path) -> None:
    Path("run.toml").write_text(
        'model = "digits-cnn"\ncalibration = "digits-train"\ncalibration_samples = 64\n'
        f'weights = "{(demo_folder / "digits.safetensors").as_posix()}"\n'
        'data = "digits-test"\n'
        "[convert]\nT = 6\nper-channel = false\n"
        '[convert.set]\nscale = {name = "percentile", q = 99.0}\n'
        "[evaluate]\nlengths = [3, 4]\nlimit = 20\n"
    )
    done = run("convert", "--config", "run.toml", "--json")
    config = load("snn.safetensors").provenance["config"]
    assert (done.code, config["T"], config["per_channel"]) == (0, 6, False)
    assert config["scale"]["name"] == "percentile"
    won = run("convert", "--config=run.toml", "--T", 5, "--per-channel", "--force", "--json")
    config = load("snn.safetensors").provenance["config"]
    assert (won.code, config["T"], config["per_channel"]) == (0, 5, True)
    measured = run("evaluate", "--config", "run.toml", "--limit", 10, "--json")
    assert [length["T"] for length in measured.json["lengths"]] == [3, 4]
    assert measured.json["data"]["samples"] == 10


def test_list_and_env(run: Command) -> None:
    listed = run("list", "methods", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert {"burst", "spikeconverter"} <= {entry["name"] for entry in listed.json["methods"]}
    assert set(listed.json) == {"schema", "methods"}
    assert "digits-test" in run("list").out
    facts = run("env", "--json").json
    assert facts["spikewright"] == spikewright.__version__
    assert facts["SPIKEWRIGHT_DATA"] == ("set" if os.environ.get("SPIKEWRIGHT_DATA") else "not set")
    assert not any("/" in str(value) for key, value in facts.items() if key != "schema")


def test_version_and_help(run: Command) -> None:
    assert run("--version") == Outcome(0, f"{spikewright.__version__}\n", "")
    assert all(verb in run("--help").out for verb in VERBS)
    assert "--calibration-samples" in run("convert", "--help").out


def test_the_demo_explains_itself_and_writes_its_files(
    run: Command, told: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, place = told
    assert "\x1b" not in out
    assert "\r" not in out
    assert out.startswith("Spikewright demo. It trains a small network")
    monkeypatch.chdir(place)
    folder = Path("spikewright-demo")
    assert sorted(path.name for path in folder.iterdir()) == [
        "demo.json",
        "digits.safetensors",
        "report.html",
        "result.json",
        "snn.safetensors",
        "summary.txt",
    ]
    *text, last, _ = out.splitlines()
    assert max(map(len, text)) <= 80
    assert "integer   agree: 32 scans" in out
    assert "Whether it saves energy" in out
    assert (folder / "summary.txt").read_text() in out
    result = json.loads((folder / "result.json").read_text())
    assert [length["T"] for length in result["lengths"]] == [4, 6, 8]
    numbers = json.loads((folder / "demo.json").read_text())
    assert numbers["verification"]["integer"]["agrees"] is True
    page = (folder / "report.html").read_text()
    assert "DigitsCNN as a spiking network" in page
    assert run("report", folder / "result.json", "-o", "mine.html").code == 0
    assert Path("mine.html").read_text() == page
    accuracy = f"{100 * result['lengths'][2]['accuracy'][-1]:.2f} %"
    assert f"   8    40  {accuracy:>9s}" in out
    assert load_file(folder / "digits.safetensors")["linear.weight"].shape == (10, 224)
    assert load(folder / "snn.safetensors").T == 8

    assert f" s on cpu, {counted(torch.get_num_threads(), 'thread')}\n" in out
    words = shlex.split(last)  # the command to paste works
    assert words[words.index("evaluate") :][:2] == ["evaluate", "--snn"]
    pasted = run(*words[words.index("evaluate") :], "--json")
    assert pasted.code == 0
    assert pasted.json["lengths"][0]["accuracy"] == result["lengths"][2]["accuracy"]


def test_the_demo_says_what_its_last_command_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    closing = demo_text.closing(Path("my x"), {"a": "b"})
    assert "[vision]" not in closing
    assert str(Path("my x") / "snn.safetensors") in shlex.split(closing.splitlines()[-2])
    monkeypatch.setattr(demo_text, "find_spec", lambda _: None)
    assert demo_text.closing(Path("x"), {"a": "b"}).endswith(
        "needs torchvision: pip install 'spikewright[vision]'"
    )


def test_a_quiet_demo_gives_its_result_alone(demo_folder: Path) -> None:
    said = (demo_folder.parent / "said.txt").read_text()
    assert said.startswith("4. Measure on the 445 other scans")
    assert (demo_folder / "summary.txt").read_text() != "mine"  # it was forced


def test_the_demo_replaces_only_what_a_demo_wrote(run: Command) -> None:
    folder = Path("spikewright-demo")
    folder.mkdir()
    (folder / "summary.txt").write_text("mine")
    refused = run("demo", "--epochs", 1)
    assert refused.code == 2
    assert "summary.txt: exists already. Replace it with --force" in refused.err
    assert (folder / "summary.txt").read_text() == "mine"


# In a process of its own.
def process(*words: object, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **settings
    )


def test_help_loads_nothing_heavy() -> None:
    lines = [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS), ["convrt"]]
    code = (
        "import sys; from spikewright.cli import main\n"
        f"codes = [main(words) for words in {lines}]\n"
        f"print([name for name in {HEAVY} if name in sys.modules], codes)"
    )
    done = process("-c", code)
    assert done.stdout.splitlines()[-1] == f"[] {[0] * (len(VERBS) + 2) + [2]}"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
def test_ctrl_c_stops_training_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikewright", "demo", "--epochs", "100000"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under a runner in the background Ctrl-C is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("Spikewright demo")
        time.sleep(2)
        running.send_signal(signal.SIGINT)
        try:
            _, err = running.communicate(timeout=30)
        finally:
            running.kill()
    assert err == "interrupted: no file is left half-written.\n"
    # Python may end by the signal itself, if it came while code was being imported; shells say 130.
    assert running.returncode in (130, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error() -> None:
    code = "import sys; from spikewright.cli import main; sys.exit(main(['list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141
