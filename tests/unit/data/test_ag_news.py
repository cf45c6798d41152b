# SPDX-License-Identifier: Apache-2.0
"""AG News: both layouts read alike, and a damaged file is one error that names its line."""

import re
from pathlib import Path

import numpy as np
import pytest

from spikewright.data import TextSet, describe, load_ag_news, named, names, text_names, texts
from spikewright.data.ag_news import CLASSES, plain_text, read_ag_news
from spikewright.errors import ConfigError, FileFormatError, UnknownNameError

ROWS = '"3","Wall St. Bears","Short-sellers, again."\n"1","Vote","He said ""no""."\n'
HEADER = "class,title,description\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text(ROWS)
    return path


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=re.escape(message)):
        read_ag_news(path)


# --- damaged files


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('"2","only two"\n', "expected 3 fields (class, title, description), got 2."),
        ('"2","a","b","c"\n', "expected 3 fields (class, title, description), got 4."),
        ("\n", "expected 3 fields (class, title, description), got 0."),
        ('"5","a","b"\n', "expected a class from 1 to 4, got '5'."),
        ('"0","a","b"\n', "expected a class from 1 to 4, got '0'."),
        ('"sport","a","b"\n', "expected a class from 1 to 4, got 'sport'."),
        ('"1.0","a","b"\n', "expected a class from 1 to 4, got '1.0'."),
        ('"2","a,b\n', "expected a row of CSV, got one that does not parse"),
        ('"2","a"b,"c"\n', "expected a row of CSV, got one that does not parse"),
    ],
)
def test_a_broken_row_is_named_by_its_line(file: Path, header: str, row: str, message: str) -> None:
    file.write_text(header + ROWS + row + ROWS)
    refused(file, f"train.csv, line {3 + bool(header)}: {message}")


def test_lines_are_counted_through_fields_that_span_several(file: Path) -> None:
    file.write_text('"2","two\nlines","and\nthree"\n"9","a","b"\n')
    refused(file, "train.csv, line 4: expected a class from 1 to 4, got '9'.")


def test_bytes_that_are_no_text_are_named_by_their_line(file: Path) -> None:
    file.write_bytes(ROWS.encode() + b'"2","caf\xe9","latin"\n')
    refused(file, "train.csv, line 3: expected UTF-8, got the byte 0xe9.")


@pytest.mark.parametrize("content", ["", HEADER])
def test_a_file_without_articles_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    refused(file, "train.csv: expected articles, got none.")


def test_missing_files_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none.csv", "none.csv: expected a CSV file of AG News, got none.")
    with pytest.raises(FileFormatError, match=r"expected test\.csv or ag_news_test_1000\.csv of"):
        load_ag_news(tmp_path, "test")


@pytest.mark.usefixtures("unchecked")
def test_another_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected part 'train' or 'test', got 'dev'"):
        load_ag_news(tmp_path, "dev")


def test_texts_and_labels_must_be_as_many() -> None:
    with pytest.raises(FileFormatError, match="expected one label per text, got 1 texts and 2"):
        TextSet("x", ("a",), np.zeros(2, dtype=np.int64))


# --- whole files


@pytest.mark.parametrize("header", ["", HEADER, "Class, Title,Description\n"])
def test_both_layouts_hold_the_same(file: Path, header: str) -> None:
    file.write_text(header + ROWS)
    data = read_ag_news(file)
    assert data.texts == ("Wall St. Bears Short-sellers, again.", 'Vote He said "no".')
    assert data.labels.tolist() == [2, 0]
    assert [CLASSES[label] for label in data.labels] == ["Business", "World"]
    assert (len(data), data[1]) == (2, ('Vote He said "no".', 0))
    with pytest.raises(IndexError, match=r"expected an index in 0\.\.1, got 2"):
        data[2]


def test_a_byte_order_mark_is_no_part_of_the_header(file: Path) -> None:
    file.write_text(HEADER + ROWS, encoding="utf-8-sig")
    assert len(read_ag_news(file)) == 2


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r"first\second", "first second"),
        ("group #39;s arm", "group's arm"),
        ("don&#39;t", "don't"),
        ("called #39;new #39; by", "called ' new ' by"),
        (" quot;no quot; ", '" no "'),
        ("&lt;b&gt;AP&lt;/b&gt; news", "AP news"),
        ("AT amp;T", "AT & T"),
        ("1 < 2; 3 > 2", "1 < 2; 3 > 2"),
        ("the input; the output", "the input; the output"),
    ],
)
def test_what_the_makers_broke_is_mended(raw: str, text: str) -> None:
    assert words_of(plain_text(raw)) == words_of(text)


def words_of(text: str) -> list[str]:
    """Compare without the spaces around quotation marks, which cannot be known."""
    return re.findall(r"\w+|[^\w\s]", text)


# --- names


def test_sets_of_texts_have_names_of_their_own(file: Path) -> None:
    assert text_names() == ("ag-news-train", "ag-news-test")
    assert not set(text_names()) & set(names())
    assert "news articles in 4 classes" in describe("ag-news-test")
    data = texts("ag-news-train", file.parent)
    assert (data.name, len(data)) == ("ag-news-train", 2)


def test_the_official_file_is_taken_before_the_small_one(file: Path) -> None:
    small = file.with_name("ag_news_train_5600.csv")
    small.write_text(HEADER + ROWS + ROWS)
    assert len(load_ag_news(file.parent, "train")) == 2
    file.unlink()
    assert len(load_ag_news(file.parent, "train")) == 4


def test_texts_are_no_images_and_images_no_texts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ag-news-test: expected a set of images, got one of t"):
        named("ag-news-test", tmp_path)
    with pytest.raises(UnknownNameError, match="set of texts 'mnist-test': not known"):
        texts("mnist-test", tmp_path)


# --- the real files


def test_the_real_files(data_dir: Path) -> None:
    train, test = (texts(name, data_dir) for name in text_names())
    assert (len(train), len(test)) == (5600, 1000)
    assert not set(train.texts) & set(test.texts)
    for data in (train, test):
        assert np.bincount(data.labels).min() > len(data) / 5  # classes of nearly equal size
        assert not any("#39;" in text or "\\" in text for text in data.texts)
    assert test[0][0].startswith("Netopia to Restate Results (Reuters) Reuters - Netopia Inc. a")
    assert test[0][1] == CLASSES.index("Sci/Tech")
