"""PriorBox and DetectionOutput: worked examples, Caffe's loops, OpenCV on a real detector, and the whole flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import NodeProto

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.bmodel import read_bmodel
from bittrue.containers.bmodel_codes import SUBNET_CPU, SUBNET_TPU
from bittrue.errors import UnsupportedError
from bittrue.graph.host_ops import HOST_DOMAIN
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import to_onnx
from bittrue.importers import CaffeOptions, load_float_graph
from bittrue.importers.caffe.layers.detection import generated_anchors, prior_boxes
from bittrue.importers.caffe.schema import new_message
from tests.importers.caffe.nets import Array, evaluate, inputs, layer, load
from tests.shared import SHARED, needs_shared

F = np.float32


def parameters(text: str) -> Any:
    return text_format.Parse(text, new_message("PriorBoxParameter"))


def caffe_priors(p: Any, cells: tuple[int, int], image: tuple[int, int]) -> Array:
    """The loops of Caffe-SSD's prior_box_layer, with its integer sizes."""
    ratios = [1.0]
    for r in p.aspect_ratio:
        if not any(abs(r - known) < 1e-6 for known in ratios):
            ratios += [r] + ([1 / r] if p.flip else [])
    boxes: list[float] = []
    step_h, step_w = p.step or image[0] / cells[0], p.step or image[1] / cells[1]
    for h in range(cells[0]):
        for w in range(cells[1]):
            x, y = (w + p.offset) * step_w, (h + p.offset) * step_h
            sizes: list[tuple[float, float]] = []
            for s, least in enumerate(p.min_size):
                sizes.append((int(least), int(least)))
                if p.max_size:
                    side = (int(least) * int(p.max_size[s])) ** 0.5
                    sizes.append((side, side))
                sizes += [(int(least) * r**0.5, int(least) / r**0.5) for r in ratios if abs(r - 1) >= 1e-6]
            for bw, bh in sizes:
                box = [
                    (x - bw / 2) / image[1],
                    (y - bh / 2) / image[0],
                    (x + bw / 2) / image[1],
                    (y + bh / 2) / image[0],
                ]
                boxes += [min(max(v, 0.0), 1.0) for v in box] if p.clip else box
    variances = list(p.variance) or [0.1]
    row = (variances * (4 if len(variances) == 1 else 1)) * (len(boxes) // 4)
    return np.asarray([boxes, row], F)[None]


@settings(max_examples=40, deadline=None)
@given(
    cells=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    image=st.tuples(st.integers(8, 300), st.integers(8, 300)),
    sizes=st.lists(st.floats(4, 90, width=32), min_size=1, max_size=3),
    largest=st.booleans(),
    ratios=st.lists(st.sampled_from([1.0, 2.0, 0.5, 3.0]), max_size=3),
    flip=st.booleans(),
    clip=st.booleans(),
    step=st.sampled_from([0, 8.0]),
    variance=st.sampled_from(["", "variance: 0.2", "variance: [0.1, 0.1, 0.2, 0.3]"]),
)
def test_prior_box(cells, image, sizes, largest, ratios, flip, clip, step, variance) -> None:
    text = f"flip: {str(flip).lower()} clip: {str(clip).lower()} {variance} aspect_ratio: {ratios} min_size: {sizes}"
    text += f" max_size: {[s + 7.5 for s in sizes]}" if largest else ""
    text += f" step: {step}" if step else ""
    p = parameters(text)
    got = prior_boxes(p, cells, image, exact=False)
    np.testing.assert_allclose(got, caffe_priors(p, cells, image), rtol=1e-5, atol=1e-6)


def test_priors_of_ssd300() -> None:
    """The known first cell of conv4_3: 38 x 38 cells, step 8, sizes 30 and 60."""
    p = parameters("min_size: 30 max_size: 60 aspect_ratio: 2 flip: true step: 8 offset: 0.5")
    boxes = prior_boxes(p, (38, 38), (300, 300), exact=False)[0, 0].reshape(-1, 4)
    assert len(boxes) == 38 * 38 * 4
    np.testing.assert_allclose(boxes[0], [-0.0366667, -0.0366667, 0.0633333, 0.0633333], atol=1e-6)
    np.testing.assert_allclose(boxes[1], [-0.0573773, -0.0573773, 0.0840440, 0.0840440], atol=1e-6)


def test_sizes_with_fractions(tmp_path: Path) -> None:
    text = inputs((1, 4, 2, 2), (1, 3, 16, 16)) + layer("PriorBox", "prior_box_param { min_size: 4.75 }", "a b", "p")
    text += layer("Power", bottoms="a", tops="y", name="keep") + layer(
        "Scale", "scale_param { axis: 0 }", "p p", "q", "use"
    )
    for exact, side in ((False, 4), (True, 4.75)):
        graph = load(tmp_path, text, exact_prior_sizes=exact)
        box = graph.constants["q"][0, 0, :4] if "q" in graph.constants else None
        assert box is not None
        np.testing.assert_allclose(np.sqrt(np.abs(box[2])), (4 + side / 2) / 16, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 min_size"),
        ("min_size: [4, 5] max_size: 6", "2 min_size, 1 max_size"),
        ("min_size: 4 variance: [1, 2]", "2 variance"),
    ],
)
def test_priors_refused(text: str, reason: str, tmp_path: Path) -> None:
    net = inputs((1, 4, 2, 2), (1, 3, 16, 16)) + layer("PriorBox", f"prior_box_param {{ {text} }}", "a b")
    with pytest.raises(UnsupportedError, match=rf"layer 'l' \(PriorBox\): .*{reason}"):
        load(tmp_path, net)


def test_detection_output_that_does_not_fit(tmp_path: Path) -> None:
    net = inputs((1, 8), (1, 5), (1, 2, 8)) + layer(
        "DetectionOutput", "detection_output_param { num_classes: 2 }", "a b c"
    )
    with pytest.raises(UnsupportedError, match=r"layer 'l' \(DetectionOutput\): predictions \[1, 8\], scores \[1, 5\]"):
        load(tmp_path, net)


def test_detection_output_layer(tmp_path: Path) -> None:
    """Two priors, one object each; the second is too weak."""
    loc, conf = np.zeros((1, 8)), np.asarray([[0.1, 0.9, 0.8, 0.2]])
    prior = np.asarray([[0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1], [0.1] * 8])[None]
    text = (
        "detection_output_param { num_classes: 2 confidence_threshold: 0.25 keep_top_k: 5 code_type: CENTER_SIZE"
        " nms_param { nms_threshold: 0.45 top_k: 10 } }"
    )
    (rows,) = evaluate(tmp_path, "DetectionOutput", text, [loc, conf, prior])
    assert rows.shape == (1, 1, 2, 7)
    np.testing.assert_allclose(rows[0, 0], [[0, 1, 0.9, 0, 0, 0.5, 0.5], [-1] * 7], rtol=1e-6)


SMALL_SSD = (
    inputs((2, 3, 16, 16))
    + layer("Convolution", "convolution_param { num_output: 6 kernel_size: 3 pad: 1 stride: 4 }", "a", "f", "conv")
    + layer("ReLU", "", "f", "f", "relu")
    + layer("Convolution", "convolution_param { num_output: 16 kernel_size: 1 }", "f", "loc", "loc")
    + layer("Permute", "permute_param { order: [0, 2, 3, 1] }", "loc", "loc_perm", "loc_perm")
    + layer("Flatten", "", "loc_perm", "loc_flat", "loc_flat")
    + layer("Convolution", "convolution_param { num_output: 12 kernel_size: 1 }", "f", "conf", "conf")
    + layer("Permute", "permute_param { order: [0, 2, 3, 1] }", "conf", "conf_perm", "conf_perm")
    + layer("Flatten", "", "conf_perm", "conf_flat", "conf_flat")
    + layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }", "conf_flat", "conf_rows", "conf_rows")
    + layer("Softmax", "softmax_param { axis: 2 }", "conf_rows", "scores", "softmax")
    + layer("Flatten", "", "scores", "scores_flat", "scores_flat")
    + layer("PriorBox", "prior_box_param { min_size: 4 max_size: 8 aspect_ratio: 2 }", "f a", "priors", "priors")
    + layer(
        "DetectionOutput",
        "detection_output_param { num_classes: 3 keep_top_k: 9 confidence_threshold: 0.3 code_type: CENTER_SIZE "
        "nms_param { nms_threshold: 0.45 top_k: 20 } }",
        "loc_flat scores_flat priors",
        "found",
        "detect",
    )
)


def feeds_of(graph: Graph) -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {n: rng.normal(0, 1, graph.types[n].shape).astype(F) for n in graph.inputs}


@pytest.mark.parametrize(("target", "precision"), [("bm1684", "fp32"), ("bm1684", "int8"), ("bm1684x", "int8")])
def test_the_whole_flow(target: str, precision: str, tmp_path: Path) -> None:
    graph = load(tmp_path, SMALL_SSD)
    assert graph.types["found"].shape == (1, 1, 18, 7) and graph.nodes[-1].domain == HOST_DOMAIN
    feeds = feeds_of(graph)
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    model = api.compile(graph, target, tmp_path / "c", precision=precision, table=table, reference=feeds)
    assert model.graph.nodes[-1].op == "DetectionOutput" and model.graph.nodes[-1].attrs["evidence"] == "source"
    result = api.verify(tmp_path / "c")
    assert result.summary.passed and result.summary.mismatches == 0
    truth = FloatRunner(graph).run(feeds)["found"]
    got = api.open_session(tmp_path / "c").run(feeds).outputs["found"]
    assert (truth[0, 0, :, 1] > 0).sum() > 3
    if precision == "fp32":
        np.testing.assert_allclose(got, truth, rtol=1e-4, atol=1e-5)


def subnets(folder: Path) -> list[Any]:
    (stage,) = read_bmodel(folder / "compilation.bmodel").nets[0].parameter
    return list(stage.sub_net)


def test_cpu_subnet_of_the_bmodel(tmp_path: Path) -> None:
    graph = load(tmp_path, SMALL_SSD)
    api.compile(graph, "bm1684", tmp_path / "c", precision="fp32", reference=feeds_of(graph))
    chip, host = subnets(tmp_path / "c")
    assert (chip.subnet_mode, host.subnet_mode) == (SUBNET_TPU, SUBNET_CPU)
    assert (chip.id, chip.next_subnet_ids, host.id, host.next_subnet_ids) == (0, [1], 1, None)
    assert [t.name for t in chip.input_tensor] == ["a"] and [t.name for t in host.output_tensor] == ["found"]
    assert {t.name: t.device_addr for t in chip.output_tensor} == {t.name: t.device_addr for t in host.input_tensor}
    node = NodeProto.FromString(bytes(host.cpu_param[0].binary_param.data))
    assert node.op_type == "DetectionOutput" and host.cpu_param[0].op_type == 10000
    addresses = [t.device_addr for part in (chip, host) for t in part.output_tensor]
    assert len(set(addresses)) == len(addresses) and api.load(tmp_path / "c").graph.outputs == ["found"]


def test_subnets_in_turn(tmp_path: Path) -> None:
    graph = load(tmp_path, RPN)
    feeds = feeds_of(graph) | {"b": np.asarray([[128, 160, 1]], F)}
    api.compile(graph, "bm1684", tmp_path / "c", precision="fp32", reference=feeds)
    parts = subnets(tmp_path / "c")
    assert [p.subnet_mode for p in parts] == [SUBNET_TPU, SUBNET_CPU, SUBNET_CPU, SUBNET_CPU, SUBNET_TPU]
    assert [bool(p.ir_len) for p in parts] == [True, False, False, False, False]


def test_priors_as_an_output(tmp_path: Path) -> None:
    """Without DetectionOutput the network returns its priors, a constant."""
    graph = load(tmp_path, SMALL_SSD[: SMALL_SSD.index('layer { name: "detect"')])
    assert graph.outputs == ["loc_flat", "scores_flat", "priors"]
    feeds = feeds_of(graph)
    truth = FloatRunner(graph).run(feeds)
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    api.compile(graph, "bm1684", tmp_path / "c", table=table, reference=feeds)
    assert api.verify(tmp_path / "c").summary.passed
    got = api.open_session(tmp_path / "c").run(feeds).outputs
    np.testing.assert_array_equal(got["priors"], truth["priors"])


@needs_shared
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_real_detector_compiles_and_verifies(precision: str, tmp_path: Path) -> None:
    assert SHARED is not None
    stem = SHARED / "models/caffe/yufacedetect-ssd/yufacedetectnet-open-v1"
    shapes = {"data": (1, 3, 120, 160)}
    graph = load_float_graph(
        stem.with_suffix(".prototxt"), input_shapes=shapes, caffe=CaffeOptions(stem.with_suffix(".caffemodel"))
    )
    feeds = {"data": np.random.default_rng(2).uniform(-100, 150, shapes["data"]).astype(F)}
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    api.compile(graph, "bm1684", tmp_path / "c", precision=precision, table=table, reference=feeds)
    assert api.verify(tmp_path / "c").summary.passed
    rows = api.open_session(tmp_path / "c").run(feeds).outputs["detection_out"][0, 0]
    assert (rows[:, 1] == 1).sum() > 5
    if precision == "fp32":
        truth = FloatRunner(graph).run(feeds)["detection_out"][0, 0]
        np.testing.assert_allclose(rows, truth, rtol=1e-3, atol=1e-4)


def test_the_float_graph_survives_its_file(tmp_path: Path) -> None:
    graph = load(tmp_path, SMALL_SSD)
    (tmp_path / "f.onnx").write_bytes(to_onnx(graph).SerializeToString())
    again = load_float_graph(tmp_path / "f.onnx")
    feeds = feeds_of(graph)
    a, b = FloatRunner(graph).run(feeds), FloatRunner(again).run(feeds)
    np.testing.assert_allclose(a["found"], b["found"], rtol=1e-5, atol=1e-6)


def test_inner_tensors_of_a_split_graph(tmp_path: Path) -> None:
    """What is asked for lies before, in and after the host op, and a graph input is among it."""
    text = SMALL_SSD + layer("Power", "power_param { scale: 2 }", "found", "twice", "twice")
    graph = load(tmp_path, text)
    feeds = feeds_of(graph)
    got = FloatRunner(graph, ["a", "loc_flat", "found", "twice"]).run(feeds)
    np.testing.assert_array_equal(got["twice"], got["found"] * 2)
    np.testing.assert_array_equal(got["a"], feeds["a"])
    assert got["loc_flat"].shape == graph.types["loc_flat"].shape


def test_anchors_of_faster_rcnn() -> None:
    """The nine published anchors of base 16, ratios 1/2, 1, 2 and scales 8, 16, 32."""
    expected = [
        [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199], [-56, -56, 71, 71], [-120, -120, 135, 135],
        [-248, -248, 263, 263], [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359],
    ]  # fmt: skip
    np.testing.assert_array_equal(generated_anchors(16, [0.5, 1, 2], [8, 16, 32]), expected)


RPN = (
    inputs((1, 12, 8, 10), (1, 3))
    + layer("Convolution", "convolution_param { num_output: 6 kernel_size: 1 }", "a", "s", "score")
    + layer("Convolution", "convolution_param { num_output: 12 kernel_size: 1 }", "a", "d", "delta")
    + layer(
        "Proposal", "proposal_param { ratio: 1 scale: [1, 2, 3] post_nms_topn: 6 min_size: 8 }", "s d b", "r", "rpn"
    )
    + layer("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.0625 }", "a r", "p", "roi")
    + layer(
        "PSROIPooling", "psroi_pooling_param { output_dim: 3 group_size: 2 spatial_scale: 0.0625 }", "a r", "q", "ps"
    )
    + layer("InnerProduct", "inner_product_param { num_output: 4 }", "p", "y", "fc")
)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_two_stages(precision: str, tmp_path: Path) -> None:
    """Host ops amid the network: proposals, then pooled regions, then a layer of the chip."""
    graph = load(tmp_path, RPN)
    feeds = feeds_of(graph) | {"b": np.asarray([[128, 160, 1]], F)}
    truth = FloatRunner(graph).run(feeds)
    assert truth["y"].shape == (6, 4) and truth["q"].shape == (6, 3, 2, 2) and np.ptp(truth["y"], axis=0).min() > 0
    table = api.calibrate(graph, [Record("r", feeds)], method="max")
    model = api.compile(graph, "bm1684", tmp_path / "c", precision=precision, table=table, reference=feeds)
    assert {"Proposal", "RoiMaxPool", "PsRoiPool"} <= {n.op for n in model.graph.nodes}
    assert api.verify(tmp_path / "c").summary.passed
    if precision == "fp32":  # onnxruntime's own MaxRoiPool stands in the float truth
        got = api.open_session(tmp_path / "c").run(feeds).outputs
        for name in graph.outputs:
            np.testing.assert_allclose(got[name], truth[name], rtol=1e-3, atol=1e-4)


def test_proposal_layer_of_py_faster_rcnn(tmp_path: Path) -> None:
    text = RPN.replace("num_output: 6 ", "num_output: 18 ").replace("num_output: 12 ", "num_output: 36 ")
    start = text.index('type: "Proposal"')
    end = text.index("}", text.index("proposal_param", start)) + 1
    python = """type: "Python" bottom: "s" bottom: "d" bottom: "b" top: "r"
    python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "%s" }"""
    graph = load(tmp_path, text[:start] + python % "'feat_stride': 8" + text[end:])
    attrs = next(n.attrs for n in graph.nodes if n.op == "Proposal")
    assert attrs["feat_stride"] == 8 and len(attrs["anchors"]) == 36 and attrs["post_nms_top_n"] == 300
    for bad in ("'feat_stride': many", "[", "7"):
        with pytest.raises(UnsupportedError, match=r"layer 'rpn' \(Python\): param_str"):
            load(tmp_path, text[:start] + python % bad + text[end:])
    with pytest.raises(UnsupportedError, match=r"\(Python\): m.Layer: code of its own"):
        load(tmp_path, inputs((1, 3)) + layer("Python", 'python_param { module: "m" layer: "Layer" }'))


YOLO = "yolov3_detection_output_param { num_classes: 2 confidence_threshold: 0.2 anchors_scale: [16, 8] "
YOLO += "biases: [4, 5, 6, 7, 8, 9, 10, 11] mask: [2, 3, 0, 1] }"


def test_yolo_heads(tmp_path: Path) -> None:
    x, y = (np.random.default_rng(i).normal(0, 2, (1, 14, 2 * i, 2 * i)) for i in (1, 2))
    (rows,) = evaluate(tmp_path, "Yolov3DetectionOutput", YOLO, [x, y])
    used = rows[0, 0][rows[0, 0, :, 1] >= 0]
    assert rows.shape == (1, 1, 200, 7) and 0 < len(used) < 200
    flat = np.moveaxis(x.reshape(2, 7, 2, 2), 1, -1).reshape(-1, 7)
    score = 1 / (1 + np.exp(-flat[:, 5:])) / (1 + np.exp(-flat[:, 4:5]))
    best = np.unravel_index(score.argmax(), score.shape)
    row = used[np.argmin(np.abs(used[:, 2] - score[best]))]
    anchor = [(8, 9), (10, 11)][best[0] // 4]  # mask 2, 3 belong to the first head
    expected = np.exp(flat[best[0], 2:4]) * anchor / (2 * 16)
    np.testing.assert_allclose(row[[1, 2, 5, 6]], [best[1], score[best], *expected], rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "text", "shapes", "reason"),
    [
        ("Yolov3DetectionOutput", YOLO, [(1, 14, 2, 2)], "1 heads"),
        ("Yolov3DetectionOutput", YOLO, [(1, 13, 2, 2), (1, 14, 2, 2)], "14 channels"),
        ("Proposal", "", [(1, 18, 2, 2), (1, 36, 2, 2)], "three inputs"),
        ("Proposal", "", [(1, 18, 2, 2), (1, 30, 2, 2), (1, 3)], "9 anchors"),
        ("ROIPooling", "", [(1, 4, 2, 2), (3, 5)], "pooled size"),
        ("ROIPooling", "roi_pooling_param { pooled_h: 1 pooled_w: 1 }", [(1, 4, 2, 2), (3, 4)], "regions"),
        ("PSROIPooling", "psroi_pooling_param { output_dim: 3 group_size: 2 }", [(1, 4, 2, 2), (3, 5)], "4 channels"),
    ],
)
def test_refused(kind: str, text: str, shapes: list[tuple[int, ...]], reason: str, tmp_path: Path) -> None:
    net = inputs(*shapes) + layer(kind, text, " ".join("abc"[: len(shapes)]))
    with pytest.raises(UnsupportedError, match=rf"layer 'l' \({kind}\): .*{reason}"):
        load(tmp_path, net)


@needs_shared
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_real_detector_against_opencv(scale: float) -> None:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV has no Caffe importer")
    assert SHARED is not None
    stem = SHARED / "models/caffe/yufacedetect-ssd/yufacedetectnet-open-v1"
    prototxt, caffemodel = stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")
    graph = load_float_graph(prototxt, caffe=CaffeOptions(caffemodel))
    x = np.random.default_rng(2).uniform(-100 * scale, 150 * scale, graph.types["data"].shape).astype(F)
    got = FloatRunner(graph).run({"data": x})["detection_out"][0, 0]
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    net.setInput(x)
    ref = net.forward()[0, 0]
    np.testing.assert_allclose(got[got[:, 1] >= 0], ref[ref[:, 1] > 0], rtol=0, atol=1e-4)
    assert (got[:, 1] > 0).sum() > 5
