# SPDX-License-Identifier: Apache-2.0
"""AG News with recurrent networks: trained, quantised, converted, counted token by token.

Run ``python benchmarks/agnews.py`` with SPIKEWRIGHT_DATA set; without trained weights in
``.cache/`` it trains them first. All takes about two minutes on an idle core. The exit status is 1
if one hidden neuron, at one token of one test article, sends another count than the quantised
network computes.

Two networks: the head of one reads the mean of the states after every token, which trains easily
but does not need the recurrence; that of the other reads the last state, which is all memory.
How much of either is memory is told by the column "U = 0", the same network with its recurrence
cut. Settings were compared on the last 600 training articles, after first trials of the mean
network that looked at the test articles.
"""

import argparse
import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from _data import data_root
from _machine import machine

from spikewright.data import TextSet, Tokeniser, load_ag_news
from spikewright.data.tokeniser import UNKNOWN
from spikewright.files import write
from spikewright.models import TextRNN, apply_state, load_state
from spikewright.recurrent import CountCheck, check_counts, convert_recurrent
from spikewright.text import table
from spikewright.training.activations import ClipFloor

CACHE = Path(__file__).parent / ".cache"
LIMIT = 64  # tokens of an article that are read; 12 of the 1,000 test articles have more
MIN_COUNT = 2  # how often a word must occur in the training articles
BATCH = 64
THREADS = 1  # matrices are so small that a second thread only waits
SEED = 0


@dataclass(frozen=True)
class Network:
    """What is built.

    Args:
        pool: What the head reads.
        cap: Where the activation clips.
        keep: What U starts as, on the diagonal.
        spread: Size of W at the start.
        unknown: Share of words that training replaces by <unk>, at random, in every epoch.
    """

    pool: Literal["mean", "last"]
    cap: float
    keep: float
    spread: float
    unknown: float

    def build(self, vocabulary: int, levels: int) -> TextRNN:
        """Build it with random weights; no levels mean a plain clipped ReLU."""
        return TextRNN(
            vocabulary,
            pool=self.pool,
            keep=self.keep,
            spread=self.spread,
            activation=ClipFloor(levels, self.cap) if levels else nn.Hardtanh(0.0, self.cap),
        )


@dataclass(frozen=True)
class Stage:
    """One training run.

    Args:
        name: Of its file of weights.
        network: What is trained.
        levels: Q of the activation, and the ticks awake; 0 for full precision.
        start: The stage whose weights it starts from.
        epochs: Passes over the articles.
        peak_rate: Highest learning rate of the one cycle.
    """

    name: str
    network: Network
    levels: int = 0
    start: str | None = None
    epochs: int = 6
    peak_rate: float = 1e-2

    def facts(self) -> dict[str, str]:
        """Return what decides the weights; those of other settings are trained anew."""
        return {
            "stage": repr(self),
            "seed": str(SEED),
            "batch": str(BATCH),
            "limit": str(LIMIT),
            "min_count": str(MIN_COUNT),
        }


MEAN = Network("mean", cap=4.0, keep=0.9, spread=1.0, unknown=0.4)
LAST = Network("last", cap=16.0, keep=1.0, spread=0.1, unknown=0.2)


def quantised_stage(network: Network, levels: int) -> Stage:
    """Return the stage that fine-tunes a network with levels."""
    plain = f"agnews-{network.pool}"
    return Stage(f"{plain}-q{levels}", network, levels, plain, epochs=2, peak_rate=2e-3)


STAGES = (
    Stage("agnews-mean", MEAN),
    quantised_stage(MEAN, 8),
    Stage("agnews-last", LAST),
    quantised_stage(LAST, 8),
    quantised_stage(LAST, 16),
)


@dataclass(frozen=True)
class Articles:
    """Encoded articles: tokens "article length", lengths and classes "article"."""

    tokens: Tensor
    lengths: Tensor
    labels: Tensor

    @classmethod
    def of(cls, texts: TextSet, tokens: Tokeniser) -> "Articles":
        """Encode a set."""
        return cls(*tokens.batch(texts.texts, LIMIT), torch.from_numpy(texts.labels))

    def top1(self, logits: Tensor) -> float:
        """Return how many articles in percent the scores put into the right class."""
        return 100 * float((logits.argmax(1) == self.labels).double().mean())


def main() -> int:
    """Print the table, training what is missing; return 0 if every count is the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, help="test on the first so many only, for a trial")
    parser.add_argument("--retrain", action="store_true", help="train even where weights are there")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    root = data_root()
    train_set, test_set = load_ag_news(root, "train"), load_ag_news(root, "test")
    tokens = Tokeniser.fit(train_set.texts, min_count=MIN_COUNT)
    CACHE.mkdir(exist_ok=True)
    tokens.save(CACHE / "agnews-tokens.json")
    train, test = Articles.of(train_set, tokens), Articles.of(test_set, tokens)
    chosen = slice(options.articles)
    test = Articles(test.tokens[chosen], test.lengths[chosen], test.labels[chosen])
    models: dict[str, TextRNN] = {}
    for stage in STAGES:
        models[stage.name] = trained(stage, models, len(tokens), train, options.retrain)
    return report(models, train, test)


def trained(
    stage: Stage, before: dict[str, TextRNN], vocabulary: int, train: Articles, anew: bool
) -> TextRNN:
    """Return a stage's network, from its file or trained; the file appears whole or not at all."""
    torch.manual_seed(SEED)
    model = stage.network.build(vocabulary, stage.levels)
    path = CACHE / f"{stage.name}.safetensors"
    if not anew and path.is_file() and stored_facts(path) == stage.facts():
        apply_state(model, load_state(path), path.name)
        return model.eval()
    if stage.start is not None:
        weights = before[stage.start].state_dict()
        model.load_state_dict({**model.state_dict(), **weights})
    fit(
        model,
        train,
        name=stage.name,
        epochs=stage.epochs,
        peak_rate=stage.peak_rate,
        unknown=stage.network.unknown,
    )
    write(path, safetensors.torch.save(model.state_dict(), metadata=stage.facts()))
    return model.eval()


def stored_facts(path: Path) -> dict[str, str] | None:
    """Return what a file of weights says it was trained with."""
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, str] | None = file.metadata()
            return facts
    except (OSError, SafetensorError):
        return None


def fit(
    model: nn.Module, train: Articles, *, name: str, epochs: int, peak_rate: float, unknown: float
) -> None:
    """Train in place with AdamW and one cycle of the learning rate; print a line per epoch."""
    generator = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.AdamW(model.parameters(), peak_rate)
    batches = -(-len(train.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak_rate, epochs * batches)
    for epoch in range(1, epochs + 1):
        start, loss_sum = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(train.labels), generator=generator).split(BATCH):
            lengths = train.lengths[chosen]
            words = train.tokens[chosen, : int(lengths.max())]
            hidden = torch.rand(words.shape, generator=generator) < unknown
            loss = F.cross_entropy(
                model(words.masked_fill(hidden, UNKNOWN), lengths), train.labels[chosen]
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            loss_sum += float(loss.detach()) * len(chosen)
        print(
            f"{name}, epoch {epoch}/{epochs}: loss {loss_sum / len(train.labels):.3f}, "
            f"{time.perf_counter() - start:.1f} s",
            flush=True,
        )


HEAD = ("", "top-1", "U = 0", "agree", "counts off", "ticks", "latency", "spikes", "additions")
NOTE = """
top-1 in %; U = 0: the same with the recurrence cut; agree: articles in % that get the quantised
network's class; counts off: pairs of hidden neuron and token in % whose total is not its level;
ticks, spikes and additions a token, head included; latency: mean ticks an article.
"""


def report(models: dict[str, TextRNN], train: Articles, test: Articles) -> int:
    """Print accuracy, agreement and cost of all networks; return 0 if every count is the same."""
    calibration = (train.tokens[:BATCH], train.lengths[:BATCH])
    rows, lines, wrong = list[list[str]](), list[str](), 0
    for stage in STAGES:
        rows.append(ann_row(stage, models[stage.name], test))
        if stage.levels:
            checks = converted(stage, models[stage.name], calibration, test)
            rows += [snn_row(name, check, test) for name, check in checks.items()]
            exact = next(iter(checks.values()))
            lines.append(proof(stage, exact))
            wrong += not exact.agrees
    tokens = int(test.lengths.sum())
    print(f"{machine()}\n{len(test.labels)} test articles of AG News, {tokens} tokens\n")
    print(table(HEAD, rows, width=110))
    print(NOTE)
    print("\n".join(lines))
    return 1 if wrong else 0


def converted(
    stage: Stage, model: TextRNN, calibration: tuple[Tensor, Tensor], test: Articles
) -> dict[str, CountCheck]:
    """Convert a quantised network in several ways and run each beside it."""
    wide = copy.deepcopy(model).double()
    ways: dict[str, tuple[TextRNN, str, dict[str, int]]] = {
        "  SNN, wake-sleep, float64": (wide, "casc", {}),
        "  SNN, wake-sleep, float32": (model, "casc", {}),
        "  SNN, asleep for 1 tick": (wide, "casc", {"sleep": 1}),
        "  SNN, no sleep": (wide, "casc", {"sleep": 0}),
        f"  SNN, plain soft reset, T={stage.levels}": (wide, "qcfs", {}),
    }
    checks = {}
    for name, (source, method, settings) in ways.items():
        snn = convert_recurrent(source, calibration, method, **settings)
        checks[name] = check_counts(source, snn, test.tokens, test.lengths)
    return checks


def ann_row(stage: Stage, model: TextRNN, test: Articles) -> list[str]:
    """Return a row on a trained network, whole and with its recurrence cut."""
    cut = copy.deepcopy(model)
    with torch.no_grad():
        cut.cell.recurrent.weight.zero_()
        whole, without = (test.top1(m(test.tokens, test.lengths)) for m in (model, cut))
    kind = f"{stage.levels} levels" if stage.levels else "ReLU"
    name = f"RNN, {stage.network.pool}, {kind}"
    return [name, f"{whole:.1f}", f"{without:.1f}", *[""] * 6]


def snn_row(name: str, check: CountCheck, test: Articles) -> list[str]:
    """Return a row on a spiking network."""
    run = check.run
    return [
        name,
        f"{test.top1(run.logits):.1f}",
        "",
        f"{100 * (1 - check.differ_in_class / check.texts):.1f}",
        f"{100 * check.differ / check.counts:.3f}",
        f"{run.ticks_per_token:.2f}",
        f"{float(run.ticks.double().mean()):.0f}",
        f"{run.spikes_per_token:.0f}",
        f"{run.additions_per_token:.0f}",
    ]


def proof(stage: Stage, check: CountCheck) -> str:
    """Say how exact the float64 run is, how much it sleeps, and what it multiplies."""
    run = check.run
    asleep = sum(run.at_rest[stage.levels + 1 :]) / sum(run.at_rest)
    longest = max(t for t, count in enumerate(run.at_rest) if count)
    return (
        f"{stage.name}, float64: {check.counts - check.differ} of {check.counts} counts and "
        f"{check.texts - check.differ_in_class} of {check.texts} classes as in the quantised RNN;\n"
        f"  {100 * asleep:.1f} % of the tokens need sleep, the longest takes {longest} ticks; "
        f"multiply-adds a token: RNN {run.ann_macs}, SNN {run.analog_macs}\n"
        "  on constant currents, of which all but one a neuron are a table look-up of the word."
    )


if __name__ == "__main__":
    sys.exit(main())
