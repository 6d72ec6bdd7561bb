"""Phases, inputs, in-place results and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError, UsageError
from bittrue.importers.caffe.net import Net, read_net
from bittrue.importers.caffe.read import read_prototxt
from tests.importers.caffe.nets import inputs, layer, load

TRAIN_TEST = """
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN } data_param { batch_size: 10 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST } data_param { batch_size: 5 } }
layer { name: "drop" type: "Dropout" bottom: "data" top: "data2" exclude { phase: TEST } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def net_of(tmp_path: Path, text: str, given: dict[str, tuple[int, ...]] | None = None) -> Net:
    (tmp_path / "n.prototxt").write_text(text)
    return read_net(read_prototxt(tmp_path / "n.prototxt"), given or {})


def test_train_and_test_net(tmp_path: Path) -> None:
    net = net_of(tmp_path, TRAIN_TEST)
    assert [n.name for n in net.layers] == ["ip", "relu"]
    assert net.inputs == {"data": None} and net.outputs == ["ip"]
    with pytest.raises(UsageError, match=r"net.prototxt: the shape of input 'data' .*--shape data="):
        load(tmp_path, TRAIN_TEST)
    graph = load(tmp_path, TRAIN_TEST, shapes={"data": (2, 4)})
    assert graph.types["ip"].shape == (2, 3)
    with pytest.raises(UsageError, match="no input 'x'; the network has data"):
        load(tmp_path, TRAIN_TEST, shapes={"data": (2, 4), "x": (1,)})


def test_in_place_results_get_names_of_their_own(tmp_path: Path) -> None:
    text = inputs((1, 2, 2, 2))
    text += layer("ReLU", bottoms="a", tops="a", name="r1")
    text += layer("Power", "power_param { shift: 1 }", "a", "b", "p")
    text += layer("TanH", bottoms="b", tops="b", name="t") + layer("AbsVal", bottoms="b", tops="b", name="v")
    text += layer("Sigmoid", bottoms="b", tops="c", name="s")
    net = net_of(tmp_path, text)
    assert [(n.bottoms, n.tops) for n in net.layers] == [
        (["a"], ["a_r1"]), (["a_r1"], ["b"]), (["b"], ["b_t"]), (["b_t"], ["b_v"]), (["b_v"], ["c"]),
    ]  # fmt: skip


def test_results_of_the_net_keep_their_names(tmp_path: Path) -> None:
    text = inputs((1, 2, 2, 2)) + layer("TanH", tops="y", name="t") + layer("ReLU", bottoms="y", tops="y", name="r")
    net = net_of(tmp_path, text)
    assert net.outputs == ["y"] and [n.tops for n in net.layers] == [["y_t"], ["y"]]
    x = np.asarray([-1, 2], np.float32).reshape(1, 2, 1, 1) * np.ones((1, 2, 2, 2), np.float32)
    np.testing.assert_allclose(FloatRunner(load(tmp_path, text)).run({"a": x})["y"], np.maximum(np.tanh(x), 0), 1e-6)


def test_an_input_changed_in_place(tmp_path: Path) -> None:
    net = net_of(tmp_path, inputs((1, 2, 2, 2)) + layer("ReLU", tops="a", name="r"))
    assert net.outputs == ["a_r"] and net.inputs == {"a": (1, 2, 2, 2)}


def test_silence_hides_an_output(tmp_path: Path) -> None:
    text = inputs((1, 2, 2, 2)) + layer("Split", tops="y z") + layer("Silence", bottoms="z", tops="", name="quiet")
    assert net_of(tmp_path, text).outputs == ["y"]


@pytest.mark.parametrize(
    ("rule", "active"),
    [
        ("include { phase: TEST }", True),
        ("include { phase: TRAIN }", False),
        ("include { phase: TRAIN } include { phase: TEST }", True),
        ("exclude { phase: TEST }", False),
        ("exclude { stage: 'deploy' }", False),
        ("include { stage: 'deploy' stage: 'other' }", False),
        ("include { not_stage: 'deploy' }", False),
        ("include { min_level: 2 }", False),
        ("include { min_level: 1 max_level: 1 }", True),
        ("exclude { max_level: 0 }", True),
    ],
)
def test_rules(rule: str, active: bool, tmp_path: Path) -> None:
    text = 'state { level: 1 stage: "deploy" }' + inputs((1, 2)) + layer("ReLU", name="r", tops="x")
    net = net_of(tmp_path, text + layer("TanH", rule))
    assert ("y" in net.outputs) is active


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            inputs((1, 2)) + layer("ReLU", bottoms="q"),
            "layer 'l' reads 'q', which no layer before it writes.*--shape q=",
        ),
        (inputs((1, 2)) + layer("ReLU") + layer("TanH"), "layer 'l' writes 'y', which another layer wrote"),
        (
            inputs((1, 2)) + layer("ReLU", "include { phase: TEST } exclude { phase: TRAIN }"),
            "both include and exclude",
        ),
        ('input: "a" input_dim: 1 ' + layer("ReLU"), "1 input_dim, four"),
        ('input: "a" input: "b" input_shape { dim: 1 }' + layer("ReLU"), "2 inputs, but 1 input shapes"),
        (inputs((1, 2)) + layer("Input", "input_param { shape { dim: 1 } }", "", "a"), "input 'a' exists already"),
        (inputs((1, 0)) + layer("ReLU"), r"input 'a' has shape \[1, 0\]"),
        (inputs((1, 2)) + layer("Silence", tops=""), "the network has no outputs"),
    ],
)
def test_inconsistent_nets(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"net.prototxt: .*{message}"):
        load(tmp_path, text)


def test_a_result_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no input 'y'; the network has a"):
        load(tmp_path, inputs((1, 2)) + layer("ReLU"), shapes={"y": (1, 2)})


def test_a_blob_without_layer_becomes_an_input(tmp_path: Path) -> None:
    graph = load(tmp_path, layer("ReLU", bottoms="q"), shapes={"q": (1, 3)})
    assert graph.inputs == ["q"]


@pytest.mark.parametrize(
    "source",
    [
        layer("Input", "input_param { shape { dim: 2 dim: 3 } }", "", "a"),
        layer("DummyData", "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 1 } }", "", "a"),
        'input: "a" input_shape { dim: 2 dim: 3 }',
    ],
)
def test_inputs(source: str, tmp_path: Path) -> None:
    assert net_of(tmp_path, source + layer("ReLU")).inputs == {"a": (2, 3)}


def test_old_inputs(tmp_path: Path) -> None:
    text = layer("DummyData", "dummy_data_param { num: 1 channels: 2 height: 3 width: 4 }", "", "a b")
    text += layer("MemoryData", "memory_data_param { batch_size: 5 channels: 2 height: 3 width: 4 }", "", "c d")
    text += layer("Concat", bottoms="a b c d")
    expected = {"a": (1, 2, 3, 4), "b": (1, 2, 3, 4), "c": (5, 2, 3, 4), "d": (5,)}
    assert net_of(tmp_path, text).inputs == expected
    assert net_of(tmp_path, text, {"a": (9,)}).inputs["a"] == (9,)
