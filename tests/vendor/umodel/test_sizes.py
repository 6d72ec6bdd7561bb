"""calibration_use_pb with records of several sizes, as the first network of a cascade has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.importers.caffe.nets import layer, write_caffemodel

from bittrue.containers.lmdb_folder import read_lmdb, write_lmdb
from bittrue.errors import DataError
from bittrue.vendor.sophgo.calibration.run import run
from bittrue.vendor.sophgo.umodel import open_int8

pytest.importorskip("lmdb")
DATA = """name: "n"
layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "d" batch_size: 0 backend: LMDB } }
"""
CONV = layer("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }", "data", "y", "c")
FULL = layer("InnerProduct", "inner_product_param { num_output: 2 }", "data", "y", "c")


def prepare(folder: Path, net: str, weights: tuple[int, ...], sizes: list[tuple[int, int]]) -> list[str]:
    rng = np.random.default_rng(1)
    write_lmdb(folder / "d", [("", rng.normal(0, 1, (1, 3, *s)).astype(np.float32), None) for s in sizes])
    (folder / "n.prototxt").write_text(DATA + net)
    write_caffemodel(folder / "n.caffemodel", {"c": [rng.normal(0, 1, weights).astype(np.float32), np.zeros(2)]})
    return ["quantize", f"-model={folder}/n.prototxt", f"-weights={folder}/n.caffemodel", "-iterations=3"]


def test_several_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = prepare(tmp_path, CONV, (2, 3, 3, 3), [(5, 6), (9, 4), (5, 6)])
    assert run([*arguments, "-th_method=MAX"]) == 0 and "int8 calibration done." in capsys.readouterr().err
    opened = open_int8(tmp_path / "n_deploy_int8_unique_top.prototxt", tmp_path / "n.int8umodel")
    largest = max(float(np.abs(sample.array).max()) for _, sample in read_lmdb(tmp_path / "d"))
    assert opened.quantization.tensors["data"].threshold == largest and opened.quantization.samples == 3


def test_network_of_one_size(tmp_path: Path) -> None:
    arguments = prepare(tmp_path, FULL, (2, 3 * 5 * 6), [(5, 6), (9, 4)])
    with pytest.raises(DataError, match=r"record '0000000001__': shape \[1, 3, 9, 4\], .*'c' takes maps of one size"):
        run(arguments)
    assert not (tmp_path / "n.int8umodel").exists()
