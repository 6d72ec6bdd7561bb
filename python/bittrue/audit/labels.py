"""Labels for samples whose data has none: from a file beside the data, or from the names of the samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from bittrue.calibrate.data import Record
from bittrue.errors import DataError, UsageError

Array = np.ndarray[Any, Any]


def read_classes(path: Path) -> list[str]:
    """Names of classes, one a line, the number of a line counted from 0. Raises DataError."""
    try:
        names = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: not a list of classes ({e})") from e
    if not any(names):
        raise DataError(f"{path}: names no class")
    return names


class FileLabels:
    """A text file with `NAME LABEL` lines, or with one label a line in the order of the samples, or a .npy array of
    those. NAME is the path of a sample below the data's folder, or its last part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._named: dict[str, int] = {}
        self._ordered: list[int] = []
        if path.suffix.lower() == ".npy":
            self._ordered = self._array()
            return
        try:
            lines = [line.rsplit(maxsplit=1) for line in path.read_text().splitlines() if line.strip()]
            self._ordered = [int(line[0]) for line in lines if len(line) == 1]
            self._named = {line[0]: int(line[1]) for line in lines if len(line) == 2}
        except (OSError, ValueError) as e:
            raise DataError(f"{path}: neither `NAME LABEL` lines nor one number a line ({e})") from e
        if bool(self._named) == bool(self._ordered):
            raise DataError(f"{path}: `NAME LABEL` lines or one number a line are needed, one of them")

    def _array(self) -> list[int]:
        try:
            array = np.load(self.path)
            if array.ndim != 1 or array.dtype.kind not in "iu":
                raise ValueError(f"{array.dtype} of shape {list(array.shape)}")
        except (OSError, ValueError, EOFError) as e:
            raise DataError(f"{self.path}: not a list of whole numbers ({e})") from e
        return [int(v) for v in array]

    def of(self, record: Record, first: int) -> Array:
        """Labels of a record whose first sample has the number `first`."""
        if self._ordered:
            chosen = self._ordered[first : first + record.samples]
            if len(chosen) < record.samples:
                raise DataError(f"{self.path}: {len(self._ordered)} labels, the data has more samples")
            return np.asarray(chosen)
        for name in (record.key, PurePath(record.key).name):
            if name in self._named:
                return np.full(record.samples, self._named[name])
        raise DataError(f"{self.path}: no label of '{record.key}'")


class PatternLabels:
    """A regular expression that finds the label in the path of a sample below the data's folder: its first group, a
    whole number or, with `classes`, the first word of one of them."""

    def __init__(self, pattern: str, classes: Sequence[str] = ()) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as e:
            raise UsageError(f"--label-pattern {pattern}: not a regular expression ({e})") from e
        if self._pattern.groups < 1:
            raise UsageError(f"--label-pattern {pattern}: a group in brackets is needed around the label")
        self._numbers = {(name.split() or [""])[0]: i for i, name in enumerate(classes)}

    def of(self, record: Record, first: int) -> Array:
        """Labels of a record."""
        found = self._pattern.search(record.key)
        word = (found.group(1) or "") if found else ""
        if word in self._numbers:
            return np.full(record.samples, self._numbers[word])
        if self._numbers or not word.isdecimal():
            what = "is no class" if word else "has no label"
            raise DataError(f"'{record.key}' {what}: {word or self._pattern.pattern}")
        return np.full(record.samples, int(word))


class Labelled:
    """Records with the labels of a rule in place of their own."""

    def __init__(self, records: Iterable[Record], rule: FileLabels | PatternLabels) -> None:
        self._records, self._rule = records, rule

    def __iter__(self) -> Iterator[Record]:
        first = 0
        for record in self._records:
            yield replace(record, labels=self._rule.of(record, first))
            first += record.samples
