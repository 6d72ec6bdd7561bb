"""The vendor's older tool `convert_imageset`, which is Caffe's: a list of pictures to Datum records of uint8."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from bittrue.containers.datum import Array, encode_datum, encode_picture
from bittrue.containers.image_list import read_list
from bittrue.containers.lmdb_folder import LmdbWriter
from bittrue.containers.picture import encoded, read_picture, resized
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.imageset import TARGET, note_resizing, target_size

SEED = 0
TOOL = Tool(
    "convert_imageset",
    "Listed pictures as an LMDB of Caffe's records: uint8 (C, H, W), blue first.",
    (
        Option("gray", "bool", "one channel", False),
        Option("shuffle", "bool", f"shuffle the list with seed {SEED}", False),
        Option("backend", "text", "data base", "lmdb", choices=("lmdb", "leveldb")),
        Option("resize_width", "int", "width of the records, 0 keeps it; both or none", 0),
        Option("resize_height", "int", "height of the records, 0 keeps it; both or none", 0),
        Option("check_size", "bool", "all records must have one shape", False),
        Option("encoded", "bool", "records hold pictures as files", False),
        Option("encode_type", "text", "type of those files: png, jpg, ..; default: that of the picture", ""),
        *TARGET,
    ),
    "convert_imageset --resize_width=300 --resize_height=300 pictures/ list.txt lmdb",
    ("ROOTFOLDER", "LISTFILE", "LMDBFOLDER"),
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    if len(options.words) != len(TOOL.words):
        raise UsageError(f"{TOOL.name}: {', '.join(TOOL.words)} are needed")
    root, list_file, folder = map(Path, options.words)
    if options["backend"] != "lmdb":
        raise UnsupportedError(f"{TOOL.name}: --backend={options['backend']}: only lmdb is written")
    if options["encode_type"] and not options["encoded"]:
        raise UsageError(f"{TOOL.name}: --encode_type is of --encoded")
    size = target_size(TOOL.name, options)
    if bool(size[0]) != bool(size[1]):
        raise UsageError(f"{TOOL.name}: --resize_width and --resize_height are given together")
    entries = read_list(list_file)
    if options["shuffle"]:
        random.Random(SEED).shuffle(entries)
        print(f"shuffled with seed {SEED}")
    note_resizing(size)
    first: Array | None = None
    with LmdbWriter(folder, force=options["force"], append=options["append"]) as writer:
        for entry in entries:
            file = root / entry.path
            pixels = read_picture(file, gray=options["gray"])
            pixels = resized(pixels, *size) if size[0] else pixels
            first = pixels if first is None else first
            if options["check_size"] and pixels.shape != first.shape:
                raise DataError(f"{file}: shape {list(pixels.shape)}, the first picture has {list(first.shape)}")
            writer.put(f"{writer.count:08d}_{entry.path}", _record(options, file, pixels, entry.label))
    print(f"{folder}: {len(entries)} records")


def _record(options: Parsed, file: Path, pixels: Array, label: int | None) -> bytes:
    if not options["encoded"]:
        return encode_datum(pixels, label, caffe=True)
    kind = options["encode_type"] or file.suffix.lstrip(".")
    same = kind.lower() == file.suffix.lstrip(".").lower()
    untouched = same and not options["gray"] and not options["resize_width"]
    return encode_picture(file.read_bytes() if untouched else encoded(pixels, kind), pixels, label)
