# SPDX-License-Identifier: Apache-2.0
"""YOLO: one text file a picture, boxes as fractions of its sides."""

from pathlib import Path

from spikewright.data.detection.lines import ClassNames, class_names, lines_of
from spikewright.data.detection.marks import Mark, table_of
from spikewright.data.detection.sets import DetectionSet
from spikewright.data.images import FileReader
from spikewright.data.pictures import pictures_in
from spikewright.data.preprocess import Preprocess
from spikewright.errors import FileFormatError

__all__ = ["from_yolo"]


def from_yolo(
    folder: str | Path,
    split: str | None = None,
    *,
    classes: ClassNames | None = None,
    preprocess: Preprocess | None = None,
) -> DetectionSet:
    """Open a folder of pictures and label files, as YOLO detectors are trained from.

    ``images/a/b.jpg`` belongs to ``labels/a/b.txt``, of which each line is ``class x y width
    height``: the centre of a box and its sides, as fractions of the picture's sides. A picture
    whose label file is empty or not there has no boxes. Pictures are turned as a camera noted in
    EXIF, because those who mark them see them so, and YOLO's training does it, too.

    Args:
        folder: Holds ``images`` and ``labels``.
        split: Takes ``images/<split>`` and ``labels/<split>``, or ``<split>/images`` and
            ``<split>/labels``; None is for folders that are not split.
        classes: Names in the order of their numbers, or a file with one a line. None reads
            ``classes.txt`` in the folder or in ``labels``. ``data.yaml`` is not read.
        preprocess: How pictures become tensors. Default: values / 255 at the stored size.

    Returns:
        The pictures sorted by path.

    Raises:
        FileFormatError: If folders or class names are missing, no picture has a label file, or a
            line is wrong.

    Warns:
        SpikewrightWarning: If boxes are left out because they have no area inside their picture.
    """
    folder = Path(folder)
    images, labels = _folders(folder, split)
    names = class_names(classes if classes is not None else _names_file(folder, labels))
    where = folder.name if split is None else f"{folder.name}-{split}"
    files = pictures_in(images)
    texts = [labels / file.relative_to(images).with_suffix(".txt") for file in files]
    if not any(text.is_file() for text in texts):
        raise FileFormatError(
            f"{labels}: expected label files of the {len(files)} pictures in {images}, got none, "
            f"not even {texts[0]}. Check the names."
        )
    marks = [
        _mark(place, words, image, len(names))
        for image, text in enumerate(texts)
        if text.is_file()
        for place, words in lines_of(text, "a label file")
    ]
    return DetectionSet(
        name=where,
        classes=names,
        reader=FileReader(where, files, upright=True),
        marks=table_of(where, [str(file.relative_to(images)) for file in files], None, marks),
        preprocess=preprocess or Preprocess(),
    )


def _folders(folder: Path, split: str | None) -> tuple[Path, Path]:
    """Return the folders of pictures and of label files."""
    pairs = [(folder / "images", folder / "labels")]
    if split is not None:
        pairs = [(images / split, labels / split) for images, labels in pairs]
        pairs.append((folder / split / "images", folder / split / "labels"))
    for images, labels in pairs:
        if images.is_dir() and labels.is_dir():
            break
    else:
        wanted = " or ".join(f"{images} and {labels}" for images, labels in pairs)
        raise FileFormatError(
            f"{folder}: expected the folders {wanted}, got none of these. Check path and split."
        )
    inside = list(labels.iterdir())
    splits = sorted(path.name for path in inside if path.is_dir())
    flat = any(path.suffix == ".txt" and path.name != "classes.txt" for path in inside)
    if split is None and splits and not flat:
        raise FileFormatError(
            f"{folder}: expected a split, one of {', '.join(splits)}, got none. Choose one."
        )
    return images, labels


def _names_file(folder: Path, labels: Path) -> Path:
    known = [folder / "classes.txt", labels / "classes.txt", folder / "labels" / "classes.txt"]
    for path in known:
        if path.is_file():
            return path
    raise FileFormatError(
        f"{folder}: expected the names of the classes in classes.txt, got no such file. Write one "
        "with a name a line, or give classes=. (data.yaml is not read.)"
    )


def _mark(where: str, words: list[str], image: int, classes: int) -> Mark:
    """Read one line: "class x y width height"."""
    try:
        label, x, y, width, height = map(float, words)
    except ValueError:
        raise FileFormatError(
            f"{where}: expected five numbers, 'class x y width height', got "
            f"{' '.join(words)[:80]!r}. Correct the line; outlines are not read."
        ) from None
    if not 0 <= label < classes or label != int(label):
        raise FileFormatError(
            f"{where}: expected a class number in 0..{classes - 1}, got {words[0]}. "
            "Correct it, or the names of the classes."
        )
    if not all(abs(value) <= 2 for value in (x, y, width, height)):  # NaN is not, either
        raise FileFormatError(
            f"{where}: expected fractions of the picture's sides, got {' '.join(words[1:])}. "
            "Divide pixels by width and height."
        )
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Mark(image, int(label), box)
