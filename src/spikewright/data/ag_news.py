# SPDX-License-Identifier: Apache-2.0
"""AG News: short news articles in four classes, from the CSV files in which they are passed on.

X. Zhang, J. Zhao and Y. LeCun, "Character-level Convolutional Networks for Text Classification",
NeurIPS 2015: three columns (class 1..4, title, description), 120,000 rows in ``train.csv`` and
7,600 in ``test.csv``, no header.
"""

import csv
import dataclasses
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from spikewright.data.items import check_index, check_labels
from spikewright.errors import ConfigError, FileFormatError

__all__ = ["CLASSES", "TextSet", "load_ag_news", "plain_text", "read_ag_news"]

CLASSES = ("World", "Sports", "Business", "Sci/Tech")
"""What the classes 0..3 are; the files count from 1."""

_FILES = {
    "train": ("train.csv", "ag_news_train_5600.csv"),
    "test": ("test.csv", "ag_news_test_1000.csv"),
}
_HEADER = ["class", "title", "description"]
_BROKEN_ENTITY = re.compile(r"(?<!&)(#\d+|\bquot|\blt|\bgt|\bamp);")
_SPLIT_WORD = re.compile(r" (?=&?#39;(?:s|t|d|m|re|ll|ve)\b)")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


@dataclasses.dataclass(frozen=True, eq=False)
class TextSet(Dataset[tuple[str, int]]):
    """Texts with labels; item i is (text, label).

    Args:
        name: Shown in messages and reports.
        texts: One text an item.
        labels: "text", class numbers from 0.

    Raises:
        FileFormatError: If the numbers of texts and labels differ.
    """

    name: str
    texts: tuple[str, ...]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        check_labels(self.name, "text", len(self.texts), len(self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[str, int]:
        check_index(self.name, index, len(self))
        return self.texts[index], int(self.labels[index])


def load_ag_news(root: Path, part: Literal["train", "test"]) -> TextSet:
    """Load AG News from a folder.

    Args:
        root: The folder that holds ``train.csv`` and ``test.csv``; where these are not, the smaller
            ``ag_news_train_5600.csv`` and ``ag_news_test_1000.csv`` are taken.
        part: ``"train"`` or ``"test"``.

    Returns:
        Items are (title and description, class 0..3).

    Raises:
        ConfigError: If ``part`` is neither.
        FileFormatError: If the folder has no such file, or the file is damaged; see
            :func:`read_ag_news`.
    """
    if part not in _FILES:
        raise ConfigError(f"ag-news: expected part 'train' or 'test', got {part!r}. Choose one.")
    for file in _FILES[part]:
        if (root / file).is_file():
            return dataclasses.replace(read_ag_news(root / file), name=f"ag-news-{part}")
    raise FileFormatError(
        f"{root}: expected {' or '.join(_FILES[part])} of AG News, got neither. "
        "Give the folder that holds them."
    )


def read_ag_news(path: str | Path) -> TextSet:
    """Read one file of AG News, with or without the header ``class,title,description``.

    Args:
        path: A CSV file in UTF-8. Quoted fields may run over several lines.

    Returns:
        Items are (title, a space, description; see :func:`plain_text`; class 0..3).

    Raises:
        FileFormatError: If the file is missing or empty, or at the first row that has not three
            fields, has a class other than 1..4, or does not decode; with its line.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: expected a CSV file of AG News, got none. Check the path.")
    texts, labels = list[str](), list[int]()
    for line, row in _rows(path):
        if line == 1 and [field.strip().lower() for field in row] == _HEADER:
            continue
        where = f"{path.name}, line {line}"
        if len(row) != 3:
            raise FileFormatError(
                f"{where}: expected 3 fields (class, title, description), got {len(row)}. "
                "Correct or remove the row."
            )
        if row[0].strip() not in ("1", "2", "3", "4"):
            raise FileFormatError(
                f"{where}: expected a class from 1 to 4, got {row[0][:20]!r}. "
                "Correct or remove the row."
            )
        labels.append(int(row[0]) - 1)
        texts.append(plain_text(f"{row[1]} {row[2]}"))
    if not texts:
        raise FileFormatError(f"{path.name}: expected articles, got none. Copy the file again.")
    return TextSet(path.name, tuple(texts), np.array(labels, dtype=np.int64))


def plain_text(raw: str) -> str:
    r"""Undo what the set's makers did to its texts.

    Line breaks are stored as backslashes, and entities often have a space in place of their
    ampersand: ``it #39;s`` is ``it's``. HTML tags are taken out.

    Example:
        >>> plain_text(r"It #39;s a\rise: &lt;b&gt;Reuters&lt;/b&gt;   quot;up&quot;")
        'It\'s a rise: Reuters "up"'
    """
    whole = _SPLIT_WORD.sub("", raw.replace("\\", " "))
    text = html.unescape(_BROKEN_ENTITY.sub(r"&\1;", whole))
    return " ".join(_TAG.sub(" ", text).split())


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield every row with the line on which it begins."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileFormatError(
            f"{path.name}, line {line}: expected UTF-8, got the byte "
            f"0x{content[error.start]:02x}. Save the file as UTF-8."
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    first = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileFormatError(
                f"{path.name}, line {first}: expected a row of CSV, got one that does not parse "
                f"({error}). Correct or remove the row."
            ) from error
        yield first, row
        first = reader.line_num + 1
