"""Lists of labelled pictures, as Caffe's tools and its ImageData layer read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bittrue.containers.datum import Sample
from bittrue.containers.picture import read_picture, resized
from bittrue.errors import DataError


@dataclass(frozen=True)
class Entry:
    """A line of a list: path from the root folder, and a label if it has one."""

    path: str
    label: int | None


def read_list(path: Path) -> list[Entry]:
    """Lines `relative/path label`; the label may be absent. Raises DataError that names the line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: not a readable list of pictures ({e})") from e
    entries = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        words = line.rstrip().split(" ")
        labelled = len(words) == 2
        if len(words) > 2 or not words[0] or (labelled and not words[1].removeprefix("-").isdecimal()):
            raise DataError(f"{path}: line {number}: a path, one blank and a whole number are needed: '{line}'")
        entries.append(Entry(words[0], int(words[1]) if labelled else None))
    if not entries:
        raise DataError(f"{path}: lists no pictures")
    return entries


@dataclass(frozen=True)
class ImageList:
    """The pictures of a list as samples of uint8. size: (height, width) to resize to, or none."""

    path: Path
    root: str = ""
    size: tuple[int, int] | None = None
    gray: bool = False

    def __iter__(self) -> Iterator[tuple[str, Sample]]:
        """(path in the list, sample). Raises DataError for a broken list and for unreadable pictures."""
        for entry in read_list(self.path):
            pixels = read_picture(Path(self.root + entry.path), gray=self.gray)  # Caffe joins the texts
            yield entry.path, Sample(resized(pixels, *self.size) if self.size else pixels, entry.label)
