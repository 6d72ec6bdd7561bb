"""The vendor's `python3 -m ufwio.lmdb_info PATH`: one line a record."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.errors import UsageError
from bittrue.vendor.sophgo.arguments import Parsed, Tool

LINE = "{0:>20},  {1:>8},  {2},  {3}"
TOOL = Tool("lmdb_info", "Records of an LMDB folder: key, type, shape, values.", (), "lmdb_info lmdb", ("PATH",))


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    if not options.words:
        raise UsageError("lmdb_info: the path of an LMDB folder is needed")
    show(Path(options.words[0]))


def show(path: Path) -> None:
    """Prints a heading and a line a record. Raises what `read_lmdb` raises."""
    rows = read_lmdb(path)
    first = list(islice(rows, 1))  # before the heading: what is no LMDB leads to an error and nothing else
    print(LINE.format("name", "dtype", "shape", "data"))
    with np.printoptions(threshold=5):
        for key, sample in chain(first, rows):
            values = np.array2string(sample.array.ravel()).replace("\n", "")
            print(LINE.format(key, sample.array.dtype.name, str(sample.array.shape), values))


if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main(["lmdb_info", *sys.argv[1:]])
