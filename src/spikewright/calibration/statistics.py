# SPDX-License-Identifier: Apache-2.0
"""What calibration has seen at every site of a network, with exact merge and a digest."""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from spikewright.calibration.histogram import RangeHistogram
from spikewright.calibration.observer import SiteObserver
from spikewright.errors import CalibrationError, ConfigError, FileFormatError, ShapeError

__all__ = ["Statistics"]

_PARTS = ("counts", "zeros", "exponents", "max")
_NO_AXIS = -(2**31)


class Statistics(Mapping[str, SiteObserver]):
    """Observers by site name, and how many samples they have seen.

    Args:
        sites: Observer of each site.
        samples: Samples seen; whoever feeds the observers keeps it.

    Raises:
        ConfigError: If a site's name is empty.

    Example:
        >>> statistics = Statistics({"relu": SiteObserver(1, signed=False)})
        >>> _ = statistics["relu"].observe(torch.ones(2, 3))
        >>> statistics.samples += 2
        >>> len(statistics.digest())
        64
    """

    def __init__(self, sites: Mapping[str, SiteObserver], samples: int = 0) -> None:
        if "" in sites:
            raise ConfigError(
                "statistics: expected every site to have a name, got an empty one. Name the site."
            )
        self._sites = dict(sites)
        self.samples = samples

    def __getitem__(self, name: str) -> SiteObserver:
        return self._sites[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sites)

    def __len__(self) -> int:
        return len(self._sites)

    def merge(self, other: "Statistics") -> "Statistics":
        """Add what was seen elsewhere, as if all of it had been seen here.

        Args:
            other: Statistics of the same sites. Not changed.

        Returns:
            These statistics.

        Raises:
            CalibrationError: If the sites or their settings differ.
            ShapeError: If a site's number of channels differs.
        """
        if self._sites.keys() != other._sites.keys():
            differ = sorted(self._sites.keys() ^ other._sites.keys())
            raise CalibrationError(
                f"statistics: expected the same sites to merge, got {', '.join(differ)} on one "
                "side only. Merge statistics of the same prepared model."
            )
        for name, observer in self._sites.items():
            try:
                observer.merge(other._sites[name])
            except (CalibrationError, ShapeError) as error:
                raise type(error)(f"{name}: {error}") from None
        self.samples += other.samples
        return self

    def digest(self) -> str:
        """Return SHA-256 over all content as 64 hexadecimal digits.

        It does not depend on the order of sites, batches, samples or merges.
        """
        sha = hashlib.sha256()
        for name, tensor in sorted(self.to_tensors().items()):
            array = tensor.contiguous().numpy()
            sha.update(f"{name}\0{array.dtype.name}{array.shape}\0".encode())
            sha.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
        return sha.hexdigest()

    def to_tensors(self) -> dict[str, Tensor]:
        """Return all content as a flat dictionary, ready for a safetensors file.

        Names are ``site:part``; no site's name needs to be free of colons.
        """
        tensors = {":samples": torch.tensor([self.samples], dtype=torch.int64)}
        for name, observer in self._sites.items():
            axis = _NO_AXIS if observer.channel_axis is None else observer.channel_axis
            settings = [axis, int(observer.signed), observer.bins]
            tensors[f"{name}:settings"] = torch.tensor(settings, dtype=torch.int64)
            if not observer.is_empty:
                for part, tensor in observer.histogram.to_tensors().items():
                    tensors[f"{name}:{part}"] = tensor
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Statistics":
        """Build statistics from what ``to_tensors`` wrote.

        Args:
            tensors: Copied, so that the file they come from may go.

        Returns:
            Statistics of the same digest.

        Raises:
            FileFormatError: If tensors are missing, unknown or do not belong together.
        """
        sites: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            site, colon, part = name.rpartition(":")
            if not colon:
                raise _damaged(f"a name of the form site:part, got {name!r}")
            sites.setdefault(site, {})[part] = tensor
        try:
            samples = int(sites.pop("")["samples"].item())
            observers = {name: _read(parts) for name, parts in sites.items()}
        except (KeyError, ValueError, RuntimeError) as error:
            raise _damaged(f"complete tensors that fit each other, got {error}") from error
        return cls(observers, samples)


def _read(parts: dict[str, Tensor]) -> SiteObserver:
    """Build one observer; errors are told apart by the caller."""
    axis, signed, bins = parts["settings"].tolist()
    channel_axis = None if axis == _NO_AXIS else axis
    if set(parts) == {"settings"}:
        return SiteObserver(channel_axis, bool(signed), bins)
    if set(parts) != {"settings", *_PARTS}:
        raise KeyError(", ".join(sorted(set(parts) ^ {"settings", *_PARTS})))
    histogram = RangeHistogram.from_tensors({part: parts[part] for part in _PARTS})
    if histogram.bins != bins:
        raise ValueError(f"{histogram.bins} bins instead of {bins}")
    return SiteObserver.of(histogram, channel_axis, bool(signed))


def _damaged(what: str) -> FileFormatError:
    """Return the error for content that is not ours."""
    return FileFormatError(f"statistics: expected {what}. Calibrate again or use another file.")
