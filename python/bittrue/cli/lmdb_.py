"""`bittrue lmdb make|info`: calibration data as an LMDB folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from bittrue.containers.datum import Array
from bittrue.containers.lmdb_folder import write_lmdb
from bittrue.containers.picture import read_picture, resized
from bittrue.vendor.sophgo.create_lmdb import pictures_of
from bittrue.vendor.sophgo.imageset import note_resizing
from bittrue.vendor.sophgo.ufwio.lmdb_info import show


@click.group("lmdb")
def lmdb_command() -> None:
    """Calibration data as an LMDB folder, as the Sophgo and Caffe tools read it (needs the extra `lmdb`).

    \b
    Example:
      bittrue lmdb make pictures/ --resize 224x224 -o calibration_lmdb
    """


def _size(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise click.BadParameter(f"{text}: HEIGHTxWIDTH is needed")
    return int(height), int(width)


@lmdb_command.command("make")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="LMDB folder to write.")
@click.option("--resize", "size", callback=_size, help="HEIGHTxWIDTH; default: as the pictures are.")
@click.option("--gray", is_flag=True, help="One channel.")
@click.option("--bgr2rgb", is_flag=True, help="Red first; default is blue first, as Caffe has it.")
@click.option("--caffe", is_flag=True, help="Caffe's own records (uint8) instead of float32 with a shape.")
@click.option("--force", is_flag=True, help="Replace the folder if it exists.")
def make(
    folder: Path, output: Path, size: tuple[int, int] | None, gray: bool, bgr2rgb: bool, caffe: bool, force: bool
) -> None:
    """Write the pictures of a folder (without its subfolders, by name) as records (C, H, W)."""
    files = pictures_of(folder)
    if size:
        note_resizing(size)

    def samples() -> Iterator[tuple[str, Array, None]]:
        for file in files:
            pixels = read_picture(file, gray=gray)
            pixels = resized(pixels, *size) if size else pixels
            pixels = pixels[::-1] if bgr2rgb else pixels
            yield file.name, pixels if caffe else pixels.astype(np.float32), None

    count = write_lmdb(output, samples(), caffe=caffe, force=force)
    click.echo(f"{output}: {count} records")


@lmdb_command.command("info")
@click.argument("path", type=click.Path(path_type=Path))
def info(path: Path) -> None:
    """One line a record: key, type, shape, first and last values."""
    show(path)
