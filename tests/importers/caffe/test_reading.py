"""Reading prototxts and caffemodels: old syntaxes, blob forms, and what broken files say."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import BittrueError, DataError, UsageError
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.importers.caffe.read import read_caffemodel, read_prototxt
from bittrue.importers.caffe.schema import new_message
from tests.importers.caffe.nets import inputs, layer, load, write_caffemodel

CONV = "convolution_param { num_output: 2 kernel_size: 1 }"
WEIGHT, BIAS = np.arange(6.0).reshape(2, 3, 1, 1), np.array([1.0, 2.0])


def test_schema_defaults_and_numbers() -> None:
    net = new_message("LayerParameter")
    assert net.pooling_param.stride == 1 and net.eltwise_param.operation == 1 and net.convolution_param.bias_term
    numbers = {f.name: f.number for f in net.DESCRIPTOR.fields}
    assert numbers["convolution_param"] == 106 and numbers["detection_output_param"] == 204 and numbers["blobs"] == 7
    assert numbers["interp_param"] >= 20000  # forks' numbers were never agreed on
    with pytest.raises(KeyError):
        new_message("Nothing")


def test_wire_form_of_a_datum() -> None:
    datum = new_message("Datum")
    datum.channels, datum.height, datum.width, datum.data, datum.label = 1, 1, 2, b"ab", 3
    assert datum.SerializeToString() == bytes.fromhex("08011001180222026162" + "2803")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "layer {\n  name: 'x'\n  colour: 3\n}",
            r"net.prototxt: line 3:3 .*no field named \"colour\".*--allow-unknown",
        ),
        ("layer {\n  relu_param { slope: 1 }\n}", r"line 2:16 .*no field named \"slope\""),
        ("layer { name: 'x'", r"net.prototxt: line 1:"),
        ("layer {\n pooling_param { pool: SUM } }", r"line 2:.*SUM"),
        ("name: 'x'", "no layers"),
        ("layers { name: 'x' } layer { name: 'y' }", "both `layers` and `layer`"),
        ("layers { name: 'x' }", "layer 'x' has no type"),
        ("layers { layer { name: 'x' type: 'magic' } }", "layer 'x': unknown type 'magic'"),
    ],
)
def test_broken_prototxt(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(text)
    with pytest.raises(DataError, match=message):
        read_prototxt(tmp_path / "net.prototxt")


def test_unknown_fields_can_be_skipped(tmp_path: Path) -> None:
    text = inputs((1, 3, 2, 2)) + layer("ReLU", 'colour: 3 paint_param { tone: "x" dim: [1, 2] }')
    assert load(tmp_path, text, allow_unknown_fields=True).nodes[0].op == "Relu"
    with pytest.raises(DataError, match="colour"):
        load(tmp_path, text)


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_bytes(b"\xff\xfe\x00layer")
    with pytest.raises(DataError, match=r"net.prototxt: "):
        read_prototxt(tmp_path / "net.prototxt")


V1 = """
input: "a" input_dim: 1 input_dim: 3 input_dim: 2 input_dim: 2
layers { name: "l" type: CONVOLUTION bottom: "a" top: "y" convolution_param { num_output: 2 kernel_size: 1 } }
layers { name: "r" type: RELU bottom: "y" top: "y" relu_param { negative_slope: 0.5 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "y" bottom: "label" include { phase: TRAIN } }
"""
V0 = """
input: "a" input_dim: 1 input_dim: 3 input_dim: 2 input_dim: 2
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "a" top: "padded" }
layers { layer { name: "l" type: "conv" num_output: 2 kernelsize: 1 } bottom: "padded" top: "y" }
layers { layer { name: "p" type: "pool" pool: AVE kernelsize: 2 stride: 2 } bottom: "y" top: "z" }
"""


def test_version_1(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (1, 3, 2, 2)).astype(np.float32)
    y = np.einsum("oc,nchw->nohw", WEIGHT[:, :, 0, 0], x) + BIAS[:, None, None]
    got = FloatRunner(load(tmp_path, V1, {"l": [WEIGHT, BIAS]})).run({"a": x})["y"]
    np.testing.assert_allclose(got, np.where(y > 0, y, y / 2), rtol=1e-5, atol=1e-5)


def test_version_0(tmp_path: Path) -> None:
    x = np.ones((1, 3, 2, 2), np.float32)
    y = np.broadcast_to(BIAS[:, None, None], (2, 4, 4)).copy()
    y[:, 1:3, 1:3] += WEIGHT.sum((1, 2, 3))[:, None, None]
    got = FloatRunner(load(tmp_path, V0, {"l": [WEIGHT, BIAS]})).run({"a": x})["z"]
    np.testing.assert_allclose(got[0], y.reshape(2, 2, 2, 2, 2).mean((2, 4)), rtol=1e-6)


def legacy(path: Path, version: int) -> Path:
    """A caffemodel with four-dimensional blobs, one of doubles, in each syntax."""
    weights = new_message("Weights")
    if version == 2:
        made = weights.layer.add(name="l")
    elif version == 1:
        made = weights.layers.add(name="l")
    else:
        made = weights.layers.add().layer
        made.name = "l"
    first = made.blobs.add(num=2, channels=3, height=1, width=1)
    first.data.extend(WEIGHT.ravel())
    second = made.blobs.add(num=1, channels=1, height=1, width=2)
    second.double_data.extend(BIAS)
    path.write_bytes(weights.SerializeToString())
    return path


@pytest.mark.parametrize("version", [0, 1, 2])
def test_legacy_blobs(version: int, tmp_path: Path) -> None:
    blobs = read_caffemodel(legacy(tmp_path / "net.caffemodel", version))["l"]
    np.testing.assert_array_equal(blobs[0], WEIGHT)
    assert blobs[1].shape == (1, 1, 1, 2) and blobs[1].dtype == np.float32
    (tmp_path / "net.prototxt").write_text(inputs((1, 3, 2, 2)) + layer("Convolution", CONV))
    graph = load_float_graph(tmp_path / "net.prototxt", caffe=CaffeOptions(tmp_path / "net.caffemodel"))
    got = FloatRunner(graph).run({"a": np.ones((1, 3, 2, 2), np.float32)})["y"]
    np.testing.assert_array_equal(got[0, :, 0, 0], WEIGHT.sum((1, 2, 3)) + BIAS)


def test_foreign_fields_of_a_caffemodel_are_skipped(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", {"l": [BIAS]})
    layers = new_message("Weights")
    layers.ParseFromString(path.read_bytes())
    # Field 149 (wire type 2) with bytes that are no message, inside the layer; colliding forks look like this.
    inner = layers.layer[0].SerializeToString() + bytes([0xAA, 0x09, 0x03, 0xFF, 0xFF, 0xFF])
    path.write_bytes(bytes([0xA2, 0x06, len(inner)]) + inner)
    np.testing.assert_array_equal(read_caffemodel(path)["l"][0], BIAS)


@pytest.mark.parametrize(
    ("blobs", "message"),
    [
        ({"other": [BIAS]}, r"net.caffemodel: layer 'l' \(Convolution\): no weights under this name"),
        ({"l": [WEIGHT]}, r"layer 'l' \(Convolution\): blob 1 is missing, the file has 1"),
        (
            {"l": [WEIGHT[:, :2], BIAS]},
            r"layer 'l' \(Convolution\): blob 0 has shape \[2, 2, 1, 1\], expected \[2, 3, 1, 1\]",
        ),
        ({"l": []}, "holds no layer with weights"),
    ],
)
def test_weights_that_do_not_fit(blobs: dict[str, list[np.ndarray]], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(tmp_path, inputs((1, 3, 2, 2)) + layer("Convolution", CONV), blobs)


def test_no_weights(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(inputs((1, 3, 2, 2)) + layer("ReLU"))
    with pytest.raises(UsageError, match=r"net.prototxt: .*--weights .*--random-weights"):
        load_float_graph(tmp_path / "net.prototxt")
    with pytest.raises(UsageError, match="one of them"):
        load_float_graph(tmp_path / "net.prototxt", caffe=CaffeOptions(tmp_path / "w", random_weights=1))
    with pytest.raises(DataError, match=r"w.caffemodel: no such file"):
        load_float_graph(tmp_path / "net.prototxt", caffe=CaffeOptions(tmp_path / "w.caffemodel"))


def test_blob_count(tmp_path: Path) -> None:
    weights = new_message("Weights")
    weights.layer.add(name="l").blobs.add().shape.dim.extend([2, 2])
    (tmp_path / "net.caffemodel").write_bytes(weights.SerializeToString())
    with pytest.raises(DataError, match=r"layer 'l': a blob of shape \[2, 2\] with 0 values"):
        read_caffemodel(tmp_path / "net.caffemodel")


@settings(max_examples=40, deadline=None)
@given(cut=st.booleans(), share=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_damaged_files_give_one_clear_error(cut: bool, share: float, byte: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = write_caffemodel(folder / "net.caffemodel", {"l": [WEIGHT, BIAS]})
        good = file.read_bytes()
        at = int(share * len(good))
        file.write_bytes(good[:at] if cut else good[:at] + bytes([byte]) + good[at + 1 :])
        (folder / "net.prototxt").write_text(inputs((1, 3, 2, 2)) + layer("Convolution", CONV))
        try:
            load_float_graph(folder / "net.prototxt", caffe=CaffeOptions(file))
        except BittrueError as e:
            assert e.exit_code in (2, 3, 4) and "net." in str(e)
