"""The vendor's tools and Python package for LMDB folders: convert_imageset, create_lmdb, lmdb_info, ufwio."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bittrue.cli.main import cli
from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.errors import BittrueError, DataError, UnsupportedError, UsageError
from bittrue.vendor.sophgo.shims import MODULES, write_shims
from bittrue.vendor.sophgo.ufwio import LMDB_Dataset, lmdb_data

lmdb = pytest.importorskip("lmdb")
PIXELS = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)  # red first
STORED = PIXELS[:, :, ::-1].transpose(2, 0, 1)


def tool(*arguments: Any) -> str:
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(PIXELS).save(folder / "b.png")
    Image.fromarray(PIXELS[::-1]).save(folder / "a.png")
    Image.fromarray(PIXELS[:4]).save(folder / "sub/c.png")
    (folder.parent / "list.txt").write_text("b.png 3\na.png 1\nsub/c.png\n")
    return folder


def records(path: Path) -> list[tuple[str, Any]]:
    return list(read_lmdb(path))


def test_convert_imageset(pictures: Path, tmp_path: Path) -> None:
    tool("convert_imageset", f"{pictures}/", tmp_path / "list.txt", tmp_path / "out")
    found = records(tmp_path / "out")
    assert [k for k, _ in found] == ["00000000_b.png", "00000001_a.png", "00000002_sub/c.png"]
    assert [s.label for _, s in found] == [3, 1, None] and not any(s.shaped for _, s in found)
    assert found[0][1].array.dtype == np.uint8
    np.testing.assert_array_equal(found[0][1].array, STORED)
    np.testing.assert_array_equal(found[2][1].array, STORED[:, :4])


def test_options_of_convert_imageset(pictures: Path, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    base = ["convert_imageset", pictures, tmp_path / "list.txt", tmp_path / "out", "--force"]
    tool(*base, "--gray", "--resize_width=5", "--resize_height=4", "-check_size")
    file = cv2.imread(str(pictures / "b.png"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(records(tmp_path / "out")[0][1].array[0], cv2.resize(file, (5, 4)))
    output = tool(*base, "--shuffle=true")
    assert "shuffled with seed 0" in output
    first = [k for k, _ in records(tmp_path / "out")]
    tool(*base, "--shuffle")
    assert [k for k, _ in records(tmp_path / "out")] == first and sorted(k[9:] for k in first) == [
        "a.png", "b.png", "sub/c.png",
    ]  # fmt: skip
    tool(*base, "--encoded", "--encode_type=jpg")
    with lmdb.open(str(tmp_path / "out"), readonly=True) as environment, environment.begin() as transaction:
        assert b"\xff\xd8\xff" in transaction.get(b"00000000_b.png")
    tool(*base, "--encoded")
    np.testing.assert_array_equal(records(tmp_path / "out")[0][1].array, STORED)
    tool(*base[:-1], "--append")
    assert len(records(tmp_path / "out")) == 6


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--backend=leveldb"], UnsupportedError, "leveldb: only lmdb"),
        (["--check_size"], DataError, r"c.png: shape \[3, 4, 8\], the first picture has \[3, 6, 8\]"),
        (["--resize_width=4"], UsageError, "given together"),
        (["--resize_width=-4", "--resize_height=4"], UsageError, "--resize_width=-4"),
        (["--encode_type=png"], UsageError, "--encode_type is of --encoded"),
        (["--encoded", "--encode_type=tga"], UnsupportedError, "not encoded as 'tga'"),
        (["--resise_width=4"], UsageError, "resize_width"),
    ],
)
def test_convert_imageset_refuses(
    options: list[str], error: type[Exception], message: str, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        tool("convert_imageset", pictures, tmp_path / "list.txt", tmp_path / "out", *options)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["list.txt", "pictures"]


@pytest.mark.parametrize("line", ["b.png  1", "b.png one", " 1", "b.png 1 2"])
def test_broken_list(line: str, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"a.png 1\n{line}\n")
    with pytest.raises(DataError, match=r"list.txt: line 2: a path, one blank"):
        tool("convert_imageset", pictures, tmp_path / "list.txt", tmp_path / "out")
    (tmp_path / "list.txt").write_text("nowhere.png 1\n")
    with pytest.raises(DataError, match=r"nowhere.png: cannot be read"):
        tool("convert_imageset", pictures, tmp_path / "list.txt", tmp_path / "out")
    (tmp_path / "list.txt").write_text("\n")
    with pytest.raises(DataError, match="lists no pictures"):
        tool("convert_imageset", pictures, tmp_path / "list.txt", tmp_path / "out")


def test_create_lmdb(pictures: Path, tmp_path: Path) -> None:
    tool("create_lmdb", f"--imageset_rootfolder={pictures}", "--imageset_lmdbfolder", tmp_path / "out")
    found = records(tmp_path / "out")
    assert [k for k, _ in found] == ["0000000000__a.png", "0000000001__b.png"]
    assert all(s.shaped and s.array.dtype == np.float32 for _, s in found)
    np.testing.assert_array_equal(found[1][1].array, STORED)
    tool("create_lmdb", f"-imageset_rootfolder={pictures}", "-bgr2rgb", "-resize_height=3")
    beside = records(pictures)
    assert beside[0][1].array.shape == (3, 3, 8) and (pictures / "a.png").exists()
    with pytest.raises(DataError, match="exists already; --force"):
        tool("create_lmdb", f"-imageset_rootfolder={pictures}")
    assert "shuffled with seed 3" in tool("create_lmdb", f"-imageset_rootfolder={pictures}", "-shuffle", "-force")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty no pictures"):
        tool("create_lmdb", f"--imageset_rootfolder={tmp_path / 'empty'}")
    with pytest.raises(UsageError, match="imageset_rootfolder"):
        tool("create_lmdb")


def test_ufwio(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with LMDB_Dataset(tmp_path / "a", queuesize=2, mapsize=20e6) as data:
        data.put(array[None])
        data.put([array, array.astype(np.int16)], labels=[4, 5], keys=["x", "y"])
        data.put(array.astype(np.float16), 6, "z")
    found = records(tmp_path / "a")
    assert [k for k, _ in found] == ["0000000000__", "0000000001__x", "0000000002__y", "0000000003__z"]
    assert [s.label for _, s in found] == [None, 4, 5, 6] and found[0][1].array.shape == (1, 2, 3, 4)
    pairs = list(lmdb_data(tmp_path / "a"))
    assert pairs[3][0] == b"0000000003__z" and pairs[2][1].dtype == np.int16
    lines = tool("lmdb_info", tmp_path / "a").splitlines()
    assert lines[0] == f"{'name':>20},  {'dtype':>8},  shape,  data"
    assert lines[1] == f"{'0000000000__':>20},  {'float32':>8},  (1, 2, 3, 4),  [ 0.  1.  2. ... 21. 22. 23.]"
    more = LMDB_Dataset(tmp_path / "a", append=True)
    more.put(array)
    more.close()
    more.close()
    assert [k for k, _ in records(tmp_path / "a")][4] == "0000000004__"


def test_ufwio_refuses(tmp_path: Path) -> None:
    array = np.zeros((1, 2, 2), np.float32)
    with pytest.raises(UsageError, match="1 labels for 2 arrays"), LMDB_Dataset(tmp_path / "a") as data:
        data.put([array, array], labels=[1])
    with pytest.raises(UsageError, match="one of keys for a list"), LMDB_Dataset(tmp_path / "a") as data:
        data.put([array, array], keys="k")
    with pytest.raises(UnsupportedError, match="float64"), LMDB_Dataset(tmp_path / "a") as data:
        data.put(array)
        data.put(array.astype(np.float64))
    assert not list(tmp_path.iterdir())
    with LMDB_Dataset(tmp_path / "a") as data:
        data.put(array)
    with pytest.raises(DataError, match="exists already"):
        LMDB_Dataset(tmp_path / "a")
    with pytest.raises(UsageError, match="path of an LMDB"):
        tool("lmdb_info")
    with pytest.raises(DataError, match="nowhere: no LMDB"):
        tool("lmdb_info", tmp_path / "nowhere")


def test_leveldb(tmp_path: Path) -> None:
    (tmp_path / "CURRENT").write_text("MANIFEST-000001\n")
    with pytest.raises(BittrueError, match="a LevelDB; only LMDB") as e:
        list(read_lmdb(tmp_path))
    assert e.value.exit_code == 3


def test_modules_of_the_vendor(pictures: Path, tmp_path: Path) -> None:
    """As scripts use them: sourced paths, launchers, `import ufwio`, `python3 -m`."""
    written = write_shims(tmp_path / "bin dir")
    assert {p.name for p in written if p.parent.name == "python"} <= {f"{m}.py" for m in MODULES}
    script = f"""
    set -e
    . "{tmp_path}/bin dir/envsetup_cmodel.sh"
    python3 -m convert_imageset --imageset_rootfolder={pictures} --imageset_lmdbfolder=made
    python3 -c 'import ufwio, ufwio.lmdb_info; print(*(k.decode() for k, _ in ufwio.lmdb_data("made")))'
    python3 -m ufwio.lmdb_info made | tail -1
    lmdb_info nowhere || echo code $?
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[1] == "0000000000__a.png 0000000001__b.png", done.stderr
    assert lines[2].strip().startswith("0000000001__b.png") and lines[3] == "code 4"
    assert done.stderr == "bittrue: nowhere: no LMDB there\n"
