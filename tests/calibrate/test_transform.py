"""Caffe's transform_param: its order, OpenCV's resizing, and calibration from the data layer of a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.calibrate.table import CalibrationTable
from bittrue.calibrate.transform import Transform, cropped, padded
from bittrue.cli.main import cli
from bittrue.containers.lmdb_folder import write_lmdb
from bittrue.containers.picture import NOTE, resized, resized_by_rule
from bittrue.errors import BittrueError, DataError, UnsupportedError
from bittrue.importers.caffe.schema import new_message

X = np.random.default_rng(1).integers(0, 256, (3, 8, 10)).astype(np.uint8)
F = np.float32
MEAN = np.asarray([1, 2, 3], F)[:, None, None]


def transform(text: str, folder: Path = Path(".")) -> Transform:
    return Transform(text_format.Parse(text, new_message("TransformationParameter")), folder)


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 9), w=st.integers(1, 9), out=st.tuples(st.integers(1, 12), st.integers(1, 12)))
def test_resizing_is_that_of_opencv(h: int, w: int, out: tuple[int, int]) -> None:
    cv2 = pytest.importorskip("cv2")
    x = np.random.default_rng(h * 10 + w).normal(0, 1, (2, h, w)).astype(F)
    for mode, nearest in ((cv2.INTER_LINEAR, False), (cv2.INTER_NEAREST, True)):
        expected = np.stack([cv2.resize(plane, out[::-1], interpolation=mode) for plane in x])
        np.testing.assert_allclose(resized_by_rule(x, *out, nearest=nearest), expected, rtol=1e-5, atol=1e-5)


def test_crop_and_fill() -> None:
    np.testing.assert_array_equal(cropped(X, 4, 5), X[:, 2:6, 2:7])
    filled = padded(X, 11, 6, "constant", np.asarray([7, 8, 9], F))
    np.testing.assert_array_equal(filled[:, 1:9], X)
    assert filled.dtype == np.uint8 and (filled[:, [0, 9, 10]] == np.asarray([7, 8, 9])[:, None, None]).all()
    with pytest.raises(DataError, match="2 values of padding for 3 channels"):
        padded(X, 11, 6, "constant", np.zeros(2, F))
    with pytest.raises(DataError, match="a crop of 9 x 4 from samples of 8 x 10"):
        cropped(X, 9, 4)


CROP = X[:, 1:7, 2:8].astype(F)
CASES = [
    ("", X.astype(F)),
    ("scale: 0.5 mean_value: 10 mirror: true", (X.astype(F) - 10) * F(0.5)),
    ("crop_size: 6 mean_value: [1, 2, 3]", CROP - MEAN),
    ("crop_h: 4 crop_w: 6", X[:, 2:6, 2:8].astype(F)),
    ("force_gray: true", (X * np.asarray([0.114, 0.587, 0.299], F)[:, None, None]).sum(0, keepdims=True)),
    ("standardization: true", (X - X.mean()) / X.std()),
    ("resize_param { height: 4 width: 5 } crop_size: 2", resized(X, 4, 5)[:, 1:3, 1:3]),
    ("resize_param { height: 4 width: 4 resize_mode: FIT_SMALL_SIZE }", resized(X, 4, 5)),
    (
        "resize_param { height: 6 width: 5 resize_mode: FIT_LARGE_SIZE_AND_PAD pad_value: 9 }",
        np.pad(resized(X, 4, 5), ((0, 0), (1, 1), (0, 0)), constant_values=9),
    ),
    (
        "resize_param { height: 4 width: 8 resize_mode: FIT_LARGE_SIZE_AND_PAD pad_mode: MIRRORED }",
        np.pad(resized(X, 4, 5), ((0, 0), (0, 0), (1, 2)), "reflect"),
    ),
    (
        "resize_param { height: 4 width: 8 resize_mode: FIT_LARGE_SIZE_AND_PAD pad_mode: REPEAT_NEAREST }",
        np.pad(resized(X, 4, 5), ((0, 0), (0, 0), (1, 2)), "edge"),
    ),
    ("resize: 4", resized(X, 4, 5)),
    ("resize: [3, 7] mean_value: 1", resized(X, 3, 7) - F(1)),
    ("crop_fraction: 0.5", X[:, 2:6, 2:7].astype(F)),
    ("transform_op { op: RESIZE resize_side: 4 }", resized(X, 4, 5)),
    ("transform_op { op: RESIZE resize_h: 3 resize_w: 7 }", resized(X, 3, 7)),
    ("transform_op { op: CROP crop_fraction: 0.5 }", X[:, 2:6, 2:7].astype(F)),
    (
        "transform_op { op: CROP crop_h: 10 crop_w: 10 padding: 1 }",
        np.pad(X, ((0, 0), (1, 1), (0, 0)), constant_values=1),
    ),
    ("transform_op { op: STAND mean_value: [1, 2, 3] scale: 2 div: 4 bgr2rgb: true }", (X[::-1] - MEAN) * F(0.5)),
    ("transform_op { op: NONE } transform_op { op: CROP crop_h: 2 crop_w: 2 }", X[:, 3:5, 4:6].astype(F)),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[c[0][:50] for c in CASES])
def test_steps(text: str, expected: Any) -> None:
    got = transform(text)(X)
    assert got.dtype == F
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_array_equal(transform(text)(X[None])[0], got)


def test_every_sample_is_standardized_by_itself() -> None:
    both = transform("standardization: true")(np.stack([X, X // 4]))
    np.testing.assert_allclose(both.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(both.std((1, 2, 3)), 1, rtol=1e-5)
    assert (transform("standardization: true")(np.zeros((3, 2, 2))) == 0).all()


def test_mean_file(tmp_path: Path) -> None:
    mean = np.random.default_rng(2).uniform(0, 255, (3, 10, 10)).astype(F)
    blob = new_message("BlobProto")
    blob.num, blob.channels, blob.height, blob.width = 1, 3, 10, 10
    blob.data.extend(mean.ravel().tolist())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    got = transform('mean_file: "mean.binaryproto" crop_size: 6', tmp_path)(X)
    np.testing.assert_allclose(got, CROP - mean[:, 2:8, 2:8], rtol=1e-6)
    (tmp_path / "mean.binaryproto").write_bytes(b"\xff\xff")
    with pytest.raises(DataError, match=r"mean_file mean.binaryproto: not a blob"):
        transform('mean_file: "mean.binaryproto"', tmp_path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('mean_value: 1 mean_file: "m"', DataError, "both mean_value and mean_file"),
        ('mean_file: "m"', DataError, "mean_file m: no such file"),
        ("scale: 2 transform_op { op: NONE }", DataError, "transform_op and scale exclude each other"),
        ("transform_op { op: RESIZE }", DataError, "resize_side"),
        ("resize_param { height: 3 }", DataError, "height and width"),
        ("transform_op { op: CROP }", DataError, "crop_fraction, or crop_h and crop_w"),
        ("crop_fraction: 0.5 crop_size: 3", DataError, "both crop_fraction and a size"),
        ("resize: 3 resize_param { height: 3 width: 3 }", DataError, "both resize and resize_param"),
        ("resize: [1, 2, 3]", DataError, "the shorter side, or height and width"),
    ],
)
def test_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        transform(text)


@pytest.mark.parametrize("mode", ["LINEAR", "AREA", "NEAREST", "CUBIC", "LANCZOS4"])
def test_bytes_are_resized_as_opencv_does(mode: str) -> None:
    cv2 = pytest.importorskip("cv2")
    flag = getattr(cv2, f"INTER_{mode}")
    expected = cv2.resize(X.transpose(1, 2, 0), (7, 5), interpolation=flag).transpose(2, 0, 1)
    got = transform(f"resize_param {{ height: 5 width: 7 interp_mode: {mode} interp_mode: LINEAR }}")(X)
    np.testing.assert_array_equal(got, expected)


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    resizing = "resize_param {{ height: 5 width: 7 interp_mode: {} }}"
    exact = transform(resizing.format("LINEAR"))(X)
    monkeypatch.setitem(sys.modules, "cv2", None)
    fallback = transform(resizing.format("LINEAR"))
    assert fallback.notes == [NOTE]
    np.testing.assert_allclose(fallback(X), exact, atol=1)
    with pytest.raises(UnsupportedError, match=r"interpolation cubic needs OpenCV: pip install 'bittrue\[vision\]'"):
        transform(resizing.format("CUBIC"))


def test_steps_of_training_are_named() -> None:
    notes = transform(
        "noise_param { prob: 1 } expand_param { prob: 1 } resize_param { prob: 0.5 height: 2 width: 2 }"
    ).notes
    assert [n.split()[0] for n in notes] == ["noise_param", "expand_param", "resize_param:"]
    assert transform("mirror: true scale: 2").notes == []


def test_samples_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="2 means for 3 channels"):
        transform("mean_value: [1, 2]")(X)
    with pytest.raises(DataError, match=r"a sample of shape \[4\]"):
        transform("")(np.zeros(4))


NET = """
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  data_param {{ source: "{source}" batch_size: 1 backend: LMDB }} transform_param {{ {transform} }} }}
layer {{ name: "r" type: "InnerProduct" bottom: "data" top: "y" inner_product_param {{ num_output: 2 }} }}
"""


def calibrate(folder: Path, source: str, transform: str) -> CalibrationTable:
    (folder / "net.prototxt").write_text(NET.format(source=source, transform=transform))
    arguments = ["calibrate", folder / "net.prototxt", "--random-weights", 0, "--shape", "data=1x3x6x6"]
    arguments += ["--method", "max", "-o", folder / "t.table"]
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if result.exception:
        raise result.exception
    return CalibrationTable.read(folder / "t.table")


def test_calibration_from_the_data_layer(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    write_lmdb(tmp_path / "data_lmdb", [("k", X, 1)], caffe=True)
    table = calibrate(tmp_path, "data_lmdb", "crop_size: 6 mean_value: 300 scale: 0.5")
    assert table.tensors["data"].threshold == pytest.approx(float((300 - CROP.min()) / 2))
    with pytest.raises(
        BittrueError, match=r"__k': shape \[1, 3, 4, 4\], 'data' needs \[1, 3, 6, 6\]: layer 'r' takes maps"
    ):
        calibrate(tmp_path, "data_lmdb", "crop_size: 4")
    with pytest.raises(DataError, match=r"data_lmdb: record '0000000000__k': a crop of 9 x 9"):
        calibrate(tmp_path, "data_lmdb", "crop_size: 9")
    with pytest.raises(DataError, match=r"net.prototxt: layer 'data': no data at 'nowhere'"):
        calibrate(tmp_path, "nowhere", "")
    with pytest.raises(DataError, match=r"net.prototxt: layer 'data': both mean_value"):
        calibrate(tmp_path, "data_lmdb", 'mean_value: 1 mean_file: "m"')


def test_networks_that_name_no_data(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text('input: "data" layer { name: "r" type: "ReLU" bottom: "data" top: "y" }')
    (tmp_path / "net.onnx").write_bytes(b"")
    run = CliRunner().invoke
    base = ["--random-weights", "0", "--shape", "data=1x3", "-o", str(tmp_path / "t")]
    result = run(cli, ["calibrate", str(tmp_path / "net.prototxt"), *base])
    assert isinstance(result.exception, DataError) and "no Data layer" in str(result.exception)
    assert not (tmp_path / "t").exists()
