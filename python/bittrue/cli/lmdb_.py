"""`bittrue lmdb make|info`: calibration data as an LMDB folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from PIL import Image, UnidentifiedImageError

from bittrue.containers.datum import Array
from bittrue.containers.lmdb_folder import read_lmdb, write_lmdb
from bittrue.errors import DataError

PICTURES = {".jpg", ".jpeg", ".png", ".bmp"}


@click.group("lmdb")
def lmdb_command() -> None:
    """Calibration data as an LMDB folder, as the Sophgo and Caffe tools read it (needs the extra `lmdb`).

    \b
    Example:
      bittrue lmdb make pictures/ --resize 224x224 -o calibration_lmdb
    """


def _picture(path: Path, size: tuple[int, int] | None, gray: bool, rgb: bool) -> Array:
    try:
        image: Image.Image = Image.open(path).convert("L" if gray else "RGB")
    except (OSError, UnidentifiedImageError) as e:
        raise DataError(f"{path}: not a readable picture ({e})") from e
    if size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    pixels = pixels[None] if gray else (pixels if rgb else pixels[:, :, ::-1]).transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)


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
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: no pictures")

    def samples() -> Iterator[tuple[str, Array, None]]:
        for file in files:
            pixels = _picture(file, size, gray, bgr2rgb)
            yield file.name, pixels if caffe else pixels.astype(np.float32), None

    count = write_lmdb(output, samples(), caffe=caffe, force=force)
    click.echo(f"{output}: {count} records")


@lmdb_command.command("info")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
def info(path: Path) -> None:
    """One line a record: key, type, shape, first and last values."""
    line = "{0:>20},  {1:>8},  {2},  {3}"
    click.echo(line.format("name", "dtype", "shape", "data"))
    with np.printoptions(threshold=5):
        for key, sample in read_lmdb(path):
            values = np.array2string(sample.array.ravel()).replace("\n", "")
            click.echo(line.format(key, sample.array.dtype.name, sample.array.shape, values))
