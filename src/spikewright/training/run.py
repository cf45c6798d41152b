# SPDX-License-Identifier: Apache-2.0
"""The state of one training run and how a step, an epoch changes it.

Nothing random is kept from one step to the next: every step seeds its random numbers with the run's
seed and its own number. So weights, optimizer and counters are all there is to a checkpoint.
"""

import copy
import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from spikewright.errors import ConfigError
from spikewright.progress import Interrupts
from spikewright.training import engine, processes
from spikewright.training.checkpoint import Checkpoint
from spikewright.training.config import TrainConfig
from spikewright.training.display import Display
from spikewright.training.images import Source
from spikewright.training.network import TrainableNetwork
from spikewright.training.objectives import Classification, Objective, Verdict
from spikewright.training.result import Cost, EpochRecord
from spikewright.training.store import Store

__all__ = ["Run"]


class Run:
    """One training run.

    Args:
        network: Trained in place.
        items: The training images.
        config: How.
        note: Kept in the checkpoints as it is.
        objective: What for; to tell classes apart by default.
    """

    def __init__(
        self,
        network: TrainableNetwork,
        items: Source,
        config: TrainConfig,
        note: Mapping[str, Any] | None = None,
        objective: Objective | None = None,
    ) -> None:
        self.config, self.items, self.note = config, items, dict(note or {})
        self.objective = Classification() if objective is None else objective
        self.network = network
        engine.lay_out(network, channels_last=True)
        processes.broadcast(network)
        self.optimizer = engine.optimizer(network, config)
        self.ema = None if config.ema is None else _copied(network.state_dict())
        self.history: list[EpochRecord] = []
        self._epoch = self._step = self._steps = self._images = 0
        self._seconds = self._epoch_seconds = 0.0
        self._sums = torch.zeros(3, dtype=torch.float64)  # loss, the figure, images
        self._best = -1.0

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one pass over the images."""
        return math.ceil(len(self.items) / (self.config.batch_size * self.config.accumulate))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self._epoch >= self.config.epochs

    @property
    def cost(self) -> Cost:
        """What it took so far."""
        return Cost(
            epochs=self._epoch, steps=self._steps, images=self._images, seconds=self._seconds
        )

    def trained(self) -> TrainableNetwork:
        """Return the network as it is now, its moving average if one is kept."""
        network = copy.deepcopy(self.network) if self.ema is None else self._evaluated()
        network.zero_grad(set_to_none=True)
        engine.lay_out(network, channels_last=False)
        network.eval()
        return network

    def epoch(
        self,
        validation: Source | None,
        store: Store | None,
        interrupts: Interrupts,
        *,
        show: bool,
    ) -> EpochRecord | None:
        """Do the rest of an epoch; return its record, or None if it was interrupted."""
        order = self._order()
        rate = 0.0
        self.objective.start(self.network)
        title = f"epoch {self._epoch + 1}/{self.config.epochs}"
        show = show and processes.rank() == 0
        figure = self.objective.figure
        with Display(title, figure, self._step, self.steps_per_epoch, show=show) as display:
            for step in range(self._step, self.steps_per_epoch):
                if float(processes.total(torch.tensor(float(interrupts.requested)))):
                    break
                start = time.perf_counter()
                rate = self.config.rate(
                    self._epoch * self.steps_per_epoch + step, self.steps_per_epoch
                )
                self._update(order[step], step, rate)
                self._step, self._steps = step + 1, self._steps + 1
                self._took(time.perf_counter() - start)
                loss, good, count = self._sums.tolist()
                display.advance(loss / max(count, 1), 100 * good / max(count, 1))
                if store is not None and self._step < self.steps_per_epoch:
                    store.step(self.checkpoint)
        if self._step < self.steps_per_epoch:
            if store is not None:
                store.save(self.checkpoint)
            return None
        record = self._close(validation, rate)
        best = self._is_best(record)
        if store is not None:
            if best:
                store.save_best(self.final)
            store.save(self.checkpoint)
        return record

    def _order(self) -> list[list[Tensor]]:
        """Say which images each step of this epoch takes, batch by batch."""
        generator = torch.Generator().manual_seed(self._seed(self._epoch, "order"))
        images = torch.randperm(len(self.items), generator=generator)
        batches = torch.split(images, self.config.batch_size)
        size = self.config.accumulate
        return [list(batches[i : i + size]) for i in range(0, len(batches), size)]

    def _seed(self, *what: object) -> int:
        text = "/".join(map(str, (self.config.seed, *what)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])

    def _update(self, batches: list[Tensor], step: int, rate: float) -> None:
        """Do one step on some batches."""
        total = sum(len(b) for b in batches)
        device = next(self.network.parameters()).device
        with engine.seeded(self._seed(self._epoch, step, processes.rank()), device):
            self.optimizer.zero_grad(set_to_none=True)
            for chosen in batches:
                part = processes.share(chosen)
                x, targets = self.objective.draw(self.items, part, self.config)
                x = x.to(device, engine.dtype(self.network))
                verdict = self.objective.judge(self.network, x, targets, self.config)
                (verdict.loss / total).backward()  # type: ignore[no-untyped-call]
                self._count(verdict, len(x))
            self._images += total
            processes.add_gradients(self.network)
        if self.config.clip_grad is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_grad)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self._follow()

    def _count(self, verdict: Verdict, count: int) -> None:
        value = float(verdict.loss.detach())
        if not math.isfinite(value):
            raise ConfigError(
                f"training: expected a finite loss, got {value} in epoch {self._epoch + 1}, step "
                f"{self._step + 1}. Lower lr, add warmup epochs, or set clip_grad."
            )
        self._sums += torch.tensor([value, verdict.good, count], dtype=torch.float64)

    def _follow(self) -> None:
        """Move the average towards the weights; early steps count more."""
        if self.ema is None or self.config.ema is None:
            return
        decay = min(self.config.ema, (1 + self._steps) / (10 + self._steps))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.ema[name].lerp_(tensor, 1.0 - decay)
                else:
                    self.ema[name].copy_(tensor)

    def _took(self, seconds: float) -> None:
        self._seconds += seconds
        self._epoch_seconds += seconds

    def _close(self, validation: Source | None, rate: float) -> EpochRecord:
        """End an epoch: measure, write it down, start the next one."""
        start = time.perf_counter()
        score = None
        if validation is not None:
            score = self.objective.measure(self._evaluated(), validation, self.config)
        self._took(time.perf_counter() - start)
        loss, good, count = processes.total(self._sums).tolist()
        record = EpochRecord(
            epoch=self._epoch + 1,
            loss=loss / count,
            accuracy=100.0 * good / count,
            validation=score,
            lr=rate,
            seconds=self._epoch_seconds,
        )
        self.history.append(record)
        self._epoch, self._step, self._epoch_seconds = self._epoch + 1, 0, 0.0
        self._sums = torch.zeros_like(self._sums)
        return record

    def _evaluated(self) -> TrainableNetwork:
        if self.ema is None:
            return self.network
        network = copy.deepcopy(self.network)
        network.load_state_dict(self.ema)
        return network

    def _is_best(self, record: EpochRecord) -> bool:
        if record.validation is None or record.validation <= self._best:
            return False
        self._best = record.validation
        return True

    def facts(self) -> dict[str, Any]:
        """Return what is no tensor: all that a resumed run needs or must agree with."""
        return {
            "config": self.config.to_dict(),
            "objective": self.objective.to_dict(),
            "activation": self.network.settings,
            "digest": self.network.digest(),
            "input_shape": list(self.network.input_shape),
            "images": len(self.items),
            "processes": processes.count(),
            "epoch": self._epoch,
            "step": self._step,
            "steps": self._steps,
            "seen": self._images,
            "seconds": self._seconds,
            "epoch_seconds": self._epoch_seconds,
            "sums": self._sums.tolist(),
            "best": self._best,
            "history": [asdict(r) for r in self.history],
            "note": self.note,
        }

    def checkpoint(self) -> Checkpoint:
        """Return the whole state."""
        names = {id(p): n for n, p in self.network.named_parameters()}
        kept: dict[str, dict[str, Tensor]] = {}
        for parameter, values in self.optimizer.state.items():
            for key, value in values.items():
                if isinstance(value, Tensor):
                    kept.setdefault(key, {})[names[id(parameter)]] = value
        return Checkpoint(
            run=self.facts(),
            model=self.network.state_dict(),
            ema=self.ema or {},
            optimizer=kept,
        )

    def final(self) -> Checkpoint:
        """Return the state without what only a resumed run needs."""
        model = self.network.state_dict() if self.ema is None else self.ema
        return Checkpoint(run=self.facts(), model=model)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a state of the same network and settings.

        Raises:
            FileFormatError: If its tensors are not those of this run.
        """
        run = checkpoint.run
        parameters = dict(self.network.named_parameters())
        checkpoint.check_fits(self.network.state_dict(), self.ema or {}, parameters)
        self.network.load_state_dict(dict(checkpoint.model))
        if self.ema is not None:
            for name, tensor in self.ema.items():
                tensor.copy_(checkpoint.ema[name])
        for key, values in checkpoint.optimizer.items():
            for name, value in values.items():
                like = parameters[name]
                copy = torch.empty_like(like) if value.shape == like.shape else value.clone()
                self.optimizer.state[like][key] = copy.copy_(value) if copy is not value else copy
        self._epoch, self._step = run["epoch"], run["step"]
        self._steps, self._images = run["steps"], run["seen"]
        self._seconds, self._epoch_seconds = run["seconds"], run["epoch_seconds"]
        self._sums = torch.tensor(run["sums"], dtype=torch.float64)
        self._best = run["best"]
        self.history = [EpochRecord(**r) for r in run["history"]]


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: t.detach().clone() for n, t in state.items()}
