# SPDX-License-Identifier: Apache-2.0
"""The same inputs for every method: cut to a limit, and held to their digest in every pass."""

import hashlib
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import torch
from torch import Tensor

from spikewright.calibration.collect import inputs_of
from spikewright.errors import CalibrationError, ConfigError
from spikewright.tasks import Outputs, Task
from spikewright.tasks.form import Form

__all__ = ["Inputs", "add_tensor"]


class Inputs:
    """Inputs with their targets that are read again and again.

    Args:
        data: Tensors or (input, label) pairs, or one tensor; the order must not change.
        limit: Use only the first so many inputs.

    Attributes:
        limit: As given.
        task: What reads the targets that stand beside them; none are read before it is set.
        form: What the network's outputs are, which the task may ask about.
        digest: SHA-256 of inputs and labels, however they are batched; "" before the first pass.
        samples: Inputs of a pass.

    Raises:
        ConfigError: If the data can be read only once, or the limit is below 1.
    """

    def __init__(self, data: Iterable[Any] | Tensor, limit: int | None) -> None:
        if limit is not None and limit < 1:
            raise ConfigError(f"limit: expected at least 1 input, got {limit}.")
        if isinstance(data, Iterator):
            raise ConfigError(
                "data: expected inputs that can be read once for each method, got an iterator. "
                "Pass a list or a DataLoader."
            )
        self._data = [data] if isinstance(data, Tensor) else data
        self.limit = limit
        self.task: Task = Outputs()
        self.form = Form("not known yet")
        self.digest = ""
        self.samples = 0

    @property
    def batches(self) -> int | None:
        """How many batches a pass has, if that is known."""
        known = self.limit is None and isinstance(self._data, Sized)
        return len(self._data) if known else None  # type: ignore[arg-type]  # checked above

    def __iter__(self) -> Iterator[tuple[Tensor, Any] | tuple[Tensor]]:
        """Read the data; the first whole pass sets the digest, later ones must have the same.

        Raises:
            CalibrationError: If there is nothing, or an input holds NaN or infinity.
            ConfigError: If targets are not those of the task, or a later pass has other inputs than
                the first.
        """
        x_sha, label_sha, samples, form = hashlib.sha256(), hashlib.sha256(), 0, ""
        for index, batch in enumerate(self._data):
            left = None if self.limit is None else self.limit - samples
            if left == 0:
                break
            whole = inputs_of(batch)
            x = whole[:left]
            if not bool(x.isfinite().all()):
                raise CalibrationError(
                    f"data: batch {index}: expected finite numbers, got NaN or infinity. "
                    "Clean the data."
                )
            given = batch[1] if isinstance(batch, (tuple, list)) and len(batch) > 1 else None
            read = self.task.target(given, self.form, len(whole), index)
            labels = None if read is None else read[:left]
            labelled = labels is not None
            if form != (form := f"{x.dtype} {tuple(x.shape[1:])} {labelled}"):
                x_sha.update(f"{samples} {form}\0".encode())
            add_tensor(x_sha, x)
            if labels is not None:
                label_sha.update(self.task.digest(labels))
            samples += x.shape[0]
            yield (x,) if labels is None else (x, labels)
        if not samples:
            raise CalibrationError("data: expected at least one batch, got none. Check the loader.")
        digest = hashlib.sha256(x_sha.digest() + label_sha.digest()).hexdigest()
        if self.digest and digest != self.digest:
            raise ConfigError(
                "data: expected the same inputs in the same order in every pass, got others. "
                "Switch shuffling and random transforms off."
            )
        self.digest, self.samples = digest, samples


def add_tensor(sha: "hashlib._Hash", value: Tensor) -> None:
    """Add the bytes of a tensor to a digest; its type and shape are the caller's to add."""
    flat = value.detach().to("cpu").contiguous().reshape(-1)
    sha.update(flat.view(torch.uint8).numpy().data)
