# SPDX-License-Identifier: Apache-2.0
"""AG News with a recurrent network: trained, quantised, converted, counted token by token.

Run ``python benchmarks/agnews.py`` with SPIKEWRIGHT_DATA set; without trained weights in
``.cache/`` it trains them first, which takes about a minute on two cores. The exit status is 1 if
one hidden neuron, at one token of one test article, sends another count than the quantised network
computes. Settings were chosen on the last 600 training articles; the test articles decide nothing.
"""

import argparse
import copy
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from _data import data_root
from _machine import machine

from spikewright.data import TextSet, Tokeniser, load_ag_news
from spikewright.data.tokens import UNKNOWN
from spikewright.files import write
from spikewright.models import TextRNN, apply_state, load_state
from spikewright.models.text_rnn import CAP
from spikewright.recurrent import CountCheck, check_counts, convert_recurrent
from spikewright.text import table
from spikewright.training.activations import ClipFloor

CACHE = Path(__file__).parent / ".cache"
LEVELS = 8  # Q, and the ticks awake
LIMIT = 64  # tokens of an article that are read; one in a hundred has more
MIN_COUNT = 2  # how often a word must occur in the training articles
BATCH = 64
UNKNOWN_SHARE = 0.4  # words that training replaces by <unk>, at random, in every epoch
THREADS = 2
SEED = 0


@dataclass(frozen=True)
class Stage:
    """One training run.

    Args:
        name: Of its file of weights.
        levels: Q of the activation; 0 for full precision, clipped at ``CAP``.
        start: The stage whose weights it starts from.
        epochs: Passes over the articles.
        peak_rate: Highest learning rate of the one cycle.
    """

    name: str
    levels: int
    start: str | None
    epochs: int
    peak_rate: float

    def facts(self) -> dict[str, str]:
        """Return what decides the weights; those of other settings are trained anew."""
        return {
            "stage": repr(self),
            "seed": str(SEED),
            "batch": str(BATCH),
            "limit": str(LIMIT),
            "min_count": str(MIN_COUNT),
            "unknown": str(UNKNOWN_SHARE),
        }


STAGES = (
    Stage("agnews-relu", 0, None, epochs=6, peak_rate=1e-2),
    Stage(f"agnews-q{LEVELS}", LEVELS, "agnews-relu", epochs=2, peak_rate=2e-3),
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
    return report(*models.values(), train, test)


def build(vocabulary: int, levels: int) -> TextRNN:
    """Build the network of a stage with random weights."""
    return TextRNN(vocabulary, activation=ClipFloor(levels, CAP) if levels else None)


def trained(
    stage: Stage, before: dict[str, TextRNN], vocabulary: int, train: Articles, anew: bool
) -> TextRNN:
    """Return a stage's network, from its file or trained; the file appears whole or not at all."""
    torch.manual_seed(SEED)
    model, path = build(vocabulary, stage.levels), CACHE / f"{stage.name}.safetensors"
    if not anew and path.is_file() and stored_facts(path) == stage.facts():
        apply_state(model, load_state(path), path.name)
        return model.eval()
    if stage.start is not None:
        weights = before[stage.start].state_dict()
        model.load_state_dict({**model.state_dict(), **weights})
    fit(model, stage, train)
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


def fit(model: TextRNN, stage: Stage, train: Articles) -> None:
    """Train in place with AdamW and one cycle of the learning rate; print a line per epoch."""
    generator = torch.Generator().manual_seed(SEED)
    optimiser = torch.optim.AdamW(model.parameters(), stage.peak_rate)
    batches = -(-len(train.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, stage.peak_rate, stage.epochs * batches
    )
    for epoch in range(1, stage.epochs + 1):
        start, loss_sum = time.perf_counter(), 0.0
        for chosen in torch.randperm(len(train.labels), generator=generator).split(BATCH):
            lengths = train.lengths[chosen]
            words = train.tokens[chosen, : int(lengths.max())]
            hidden = torch.rand(words.shape, generator=generator) < UNKNOWN_SHARE
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
            f"{stage.name}, epoch {epoch}/{stage.epochs}: loss {loss_sum / len(train.labels):.3f}, "
            f"{time.perf_counter() - start:.1f} s",
            flush=True,
        )


def report(plain: TextRNN, quantised: TextRNN, train: Articles, test: Articles) -> int:
    """Print accuracy, agreement and cost of the two networks and of the spiking ones."""
    with torch.no_grad():
        scores = [model(test.tokens, test.lengths) for model in (plain, quantised)]
    rows = [
        ["RNN, ReLU", f"{test.top1(scores[0]):.1f}", *[""] * 6],
        [f"RNN, {LEVELS} levels", f"{test.top1(scores[1]):.1f}", *[""] * 6],
    ]
    calibration = (train.tokens[:BATCH], train.lengths[:BATCH])
    wide = copy.deepcopy(quantised).double()
    checks: dict[str, CountCheck] = {}
    for name, model, method, settings in (
        ("SNN, wake-sleep, float64", wide, "casc", {}),
        ("SNN, wake-sleep, float32", quantised, "casc", {}),
        ("  sleep of 1 tick", wide, "casc", {"sleep": 1}),
        ("  no sleep", wide, "casc", {"sleep": 0}),
        ("SNN, plain soft reset, T=8", wide, "qcfs", {}),
        ("SNN, plain soft reset, T=32", wide, "qcfs", {"T": 32}),
    ):
        snn = convert_recurrent(model, calibration, method, **settings)
        check = check_counts(model, snn, test.tokens, test.lengths)
        checks[name], run = check, check.run
        rows.append(
            [
                name,
                f"{test.top1(run.logits):.1f}",
                f"{100 * (1 - check.differ_in_class / check.texts):.1f}",
                f"{100 * check.differ / check.counts:.3f}" if snn.network.T == LEVELS else "",
                f"{run.ticks_per_token:.2f}",
                f"{float(run.ticks.double().mean()):.0f}",
                f"{run.spikes_per_token:.0f}",
                f"{run.additions_per_token:.0f}",
            ]
        )
    exact = next(iter(checks.values()))
    run = exact.run
    head = ["", "top-1", "agree", "counts off", "ticks", "latency", "spikes", "additions"]
    print(f"{machine()}\n{exact.texts} test articles of AG News, {int(run.tokens.sum())} tokens\n")
    print(table(head, rows, width=110))
    asleep = sum(run.at_rest[LEVELS + 1 :]) / sum(run.at_rest)
    longest = max(t for t, count in enumerate(run.at_rest) if count)
    print(
        "\ntop-1 in %; agree: articles in % that get the quantised network's class; counts off: "
        "pairs of hidden\nneuron and token in % whose total is not its level; ticks, spikes and "
        "additions a token, head included;\nlatency: mean ticks an article. "
        f"The RNN takes {run.ann_macs} multiply-adds a token, the SNN {run.analog_macs}\n"
        "on constant currents, of which all but one a neuron are a table look-up of the word.\n\n"
        f"float64: {exact.counts - exact.differ} of {exact.counts} counts and "
        f"{exact.texts - exact.differ_in_class} of {exact.texts} classes as in the quantised RNN. "
        f"{100 * asleep:.1f} %\nof the tokens need sleep at all; the longest takes {longest} ticks."
    )
    return 0 if exact.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
