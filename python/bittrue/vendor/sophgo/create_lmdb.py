"""The vendor's Python tool `create_lmdb` (its script is `convert_imageset.py`): pictures to float32 records."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bittrue.containers.lmdb_folder import LmdbWriter
from bittrue.containers.picture import SUFFIXES, read_picture, resized
from bittrue.errors import DataError
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.imageset import TARGET, note_resizing, target_size

SEED = 3
TOOL = Tool(
    "create_lmdb",
    "The pictures of a folder as an LMDB of float32 records (C, H, W), for calibration.",
    (
        Option("imageset_rootfolder", "path", "folder of pictures, without its subfolders", required=True),
        Option("imageset_lmdbfolder", "path", "folder of the LMDB; default: that of the pictures"),
        Option("shuffle", "bool", f"shuffle the sorted names with seed {SEED}", False),
        Option("resize_height", "int", "height of the records, 0 keeps it", 0),
        Option("resize_width", "int", "width of the records, 0 keeps it", 0),
        Option("bgr2rgb", "bool", "red first", False),
        Option("gray", "bool", "one channel", False),
        *TARGET,
    ),
    "create_lmdb --imageset_rootfolder=pictures --imageset_lmdbfolder=lmdb --resize_height=300 --resize_width=300",
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    root = Path(options["imageset_rootfolder"])
    folder = Path(options["imageset_lmdbfolder"] or root)
    size = target_size(TOOL.name, options)
    files = pictures_of(root)
    if options["shuffle"]:
        random.Random(SEED).shuffle(files)
        print(f"shuffled with seed {SEED}")
    note_resizing(size)
    with LmdbWriter(folder, force=options["force"], append=options["append"], beside=True) as writer:
        for file in files:
            pixels = read_picture(file, gray=options["gray"])
            pixels = resized(pixels, size[0] or pixels.shape[1], size[1] or pixels.shape[2])
            pixels = pixels[::-1] if options["bgr2rgb"] else pixels
            writer.put_array(file.name, pixels.astype(np.float32))
    print(f"{folder}: {len(files)} records")


def pictures_of(folder: Path) -> list[Path]:
    """The pictures of a folder by name. Raises DataError for none."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder} no pictures")
    return files


if __name__ == "__main__":
    import sys

    from bittrue.cli.main import main

    main(["create_lmdb", *sys.argv[1:]])
