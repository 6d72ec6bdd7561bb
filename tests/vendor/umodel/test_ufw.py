"""`ufw`: accuracies of test prototxts, blobs from Python, models of other frameworks as umodels."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.commands import Command, command
from tests.vendor.umodel.networks import CLASSES, SHAPE, Case, make_case

from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.importers.caffe.schema import new_message
from bittrue.vendor.sophgo import ufw
from bittrue.vendor.sophgo.shims import write_shims
from bittrue.vendor.sophgo.ufw.testing import cross_entropy, in_top

pytest.importorskip("lmdb")
TEST_INT8 = "net_test_int8_unique_top.prototxt"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


@pytest.fixture
def case(run: Command, tmp_path: Path) -> Case:
    made = make_case(tmp_path)
    arguments = (f"-model={made.prototxt}", f"-weights={made.weights}", "-iterations=4", "-save_test_proto")
    assert run("calibration_use_pb", "quantize", *arguments)[0] == 0
    return made


def right(scores: np.ndarray, label: int, k: int) -> bool:
    return int(np.sum(scores > scores[label])) < k


def test_accuracies_in_float_and_int8(run: Command, case: Case, tmp_path: Path) -> None:
    deploy = {m: str(tmp_path / f"net_deploy_{m}_unique_top.prototxt") for m in ("fp32", "int8")}
    umodel = str(tmp_path / "net.int8umodel")
    means = np.asarray([100, 110, 120], np.float32).reshape(3, 1, 1)
    samples = [sample for _, sample in read_lmdb(case.lmdb)]
    for mode, switch in (("fp32", ufw.set_mode_cpu), ("int8", ufw.set_mode_cpu_int8)):
        switch()
        net = ufw.Net(deploy[mode], umodel, ufw.TEST)
        hits: dict[int, list[bool]] = {1: [], 3: []}
        for sample in samples:
            net.fill_blob_data({"data": (sample.array - means) * np.float32(0.02)})
            net.forward()
            scores = net.get_blob_data("score").ravel()
            assert scores.size == CLASSES and sample.label is not None
            for k, found in hits.items():
                found.append(right(scores, sample.label, k))
        prototxt = tmp_path / f"net_test_{mode}_unique_top.prototxt"
        code, text = run("ufw", f"test_{mode}", f"-model={prototxt}", f"-weights={umodel}", "-iterations=200")
        assert code == 0
        assert [f"Batch {i}, acc/top-1 = {int(h)}" in text for i, h in enumerate(hits[1])] == [True] * 6
        assert text.count("Loss: 0\n") == 6 and "Batch 5 Finished" in text
        for k, found in hits.items():
            mean = f"{np.mean(found):g}"
            assert f"acc/top-{k} = {mean}\nmean score of top{k}-acc/top-{k} is {mean}" in text


def test_net_takes_any_batch_and_says_what_is_merged(case: Case, tmp_path: Path) -> None:
    ufw.set_mode_cpu_int8()
    net = ufw.Net(str(tmp_path / "net_deploy_int8_unique_top.prototxt"), str(tmp_path / "net.int8umodel"))
    x = np.random.default_rng(0).standard_normal((3, *SHAPE)).astype(np.float32)
    with pytest.raises(UsageError, match="fill_blob_data comes before forward"):
        net.forward()
    with pytest.raises(UsageError, match="forward comes before"):
        net.get_blob_data("prob")
    results = []
    for part in (x, x[:1], x[1:2], x[2:]):
        net.fill_blob_data({"data": part})
        net.forward()
        results.append(net.get_blob_data("prob"))
    np.testing.assert_array_equal(results[0], np.concatenate(results[1:]))
    assert results[0].dtype == np.float32
    with pytest.raises(DataError, match="blob 'conv3' is merged into the result of a later layer"):
        net.get_blob_data("conv3")
    with pytest.raises(DataError, match="blob 'nothing' is not in the network"):
        net.get_blob_data("nothing")
    with pytest.raises(UnsupportedError, match="phase TEST"):
        ufw.Net("a", "b", ufw.TRAIN)


def test_all_blobs_as_a_file(run: Command, case: Case, tmp_path: Path) -> None:
    code, text = run("dump_tensor_data_use_pb", tmp_path / TEST_INT8, tmp_path / "net.int8umodel", "2", "CPU")
    assert code == 0
    with np.load(tmp_path / f"{TEST_INT8}_1.npz") as blobs:
        assert {"data", "joined", "score", "prob"} <= set(blobs.files) and text.count(".npz") == 2
    assert run("dump_tensor_data_use_pb", "a", "b", "1", "GPU")[0] == 2
    assert run("dump_tensor_data_use_pb", "a", "b")[0] == 2


def test_ties_and_ignored_labels_count_as_documented() -> None:
    parameter = new_message("AccuracyParameter")
    scores = np.asarray([[1, 3, 3], [5, 1, 1], [0, 0, 9]], np.float32)
    np.testing.assert_array_equal(in_top(scores, np.asarray([1, 1, 0]), parameter), [True, False, False])
    parameter.top_k = 2
    np.testing.assert_array_equal(in_top(scores, np.asarray([0, 1, 0]), parameter), [False, True, True])
    parameter.ignore_label = 0
    np.testing.assert_array_equal(in_top(scores, np.asarray([0, 1, 0]), parameter), [True])
    want = np.mean([-np.log(np.exp(row[k]) / np.exp(row).sum()) for row, k in zip(scores, [1, 0, 2], strict=True)])
    assert cross_entropy(scores, np.asarray([1, 0, 2])) == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train"], 2, "one of test_fp32, test_int8"),
        (["test_int8", "-weights=net.caffemodel"], 3, "vendor layer extensions are unpublished"),
        (["test_fp32", "-model=net_deploy_fp32_unique_top.prototxt"], 4, "no Accuracy layer"),
    ],
)
def test_wrong_calls(
    run: Command,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [a.split("=")[0] for a in arguments]
    defaults = [a for a in (f"-model={TEST_INT8}", "-weights=net.int8umodel") if a.split("=")[0] not in given]
    got, text = run("ufw", *arguments, *defaults)
    assert got == code and message in text, text


def test_caffe_to_umodel_keeps_layers_apart(run: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    out = tmp_path / "umodel"
    code, text = run(
        "cf_to_umodel", "-m", case.prototxt, "-w", case.weights, "-s", "[1,3,12,12]", "-D", case.lmdb, "-d", out
    )
    assert code == 0 and "differs by 0 at most" in text, text
    prototxt, umodel = out / "net_test_bmnetc_test_fp32.prototxt", out / "net_test_bmnetc.fp32umodel"
    assert "BatchNorm" in prototxt.read_text() and str(case.lmdb) in prototxt.read_text()
    assert run("calibration_use_pb", "quantize", f"-model={prototxt}", f"-weights={umodel}", "-iterations=2")[0] == 0
    assert (out / "net_test_bmnetc.int8umodel").is_file()
    assert run("to_umodel", "-u", umodel, "-T")[0] == 0
    assert re.search(r'name: "conv1"', (out / "net_test_bmnetc.fp32umodel.txt").read_text())


def small_onnx(path: Path) -> Path:
    random = np.random.default_rng(0)
    weights = {
        "w": random.standard_normal((4, 3, 3, 3)),
        "b": random.standard_normal(4),
        "m": random.standard_normal((4, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "m"], ["y"], "fc"),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, *SHAPE))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))],
        [numpy_helper.from_array(v.astype(np.float32), n) for n, v in weights.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_onnx_to_umodel_with_data_and_accuracies(run: Command, tmp_path: Path) -> None:
    case, model, out = make_case(tmp_path), small_onnx(tmp_path / "small.onnx"), tmp_path / "umodel"
    code, text = run("on_to_umodel", "-m", model, "-D", case.lmdb, "-d", out, "-p", "INCEPTION", "-a")
    assert code == 0, text
    prototxt, umodel = out / "small_bmneto_test_fp32.prototxt", out / "small_bmneto.fp32umodel"
    code, text = run("ufw", "test_fp32", f"-model={prototxt}", f"-weights={umodel}", "-iterations=3")
    assert code == 0 and re.search(r"mean score of accuracy5-acc/top-5 is 1$", text, re.M), text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-D", "gone"], 4, "gone: no LMDB"),
        (["-D", "pictures", "-s", "[1,3,14,14]"], 4, "gives [3, 12, 12], 'x' needs [3, 14, 14]"),
        (["-a"], 4, "-a needs labels"),
        (["-s", "[1,3]"], 2, "has 4 dimensions"),
        (["-p", "OTHER"], 2, "one of VGG, INCEPTION, SSD_V, SSD_I"),
    ],
)
def test_what_does_not_fit(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    make_case(tmp_path)
    monkeypatch.chdir(tmp_path)
    small_onnx(tmp_path / "small.onnx")
    got, text = run("on_to_umodel", "-m", "small.onnx", "-d", "out", *arguments)
    assert got == code and message in text, text
    assert not (tmp_path / "out").exists()


def test_frameworks_without_a_frontend() -> None:
    with pytest.raises(UnsupportedError, match="tf_to_umodel: no frontend for TensorFlow"):
        ufw.tools.tf_to_umodel(["-m", "a.pb"])


def test_scripts_import_and_run_the_package(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    write_shims(folder)
    environment = {"PYTHONPATH": str(folder / "python"), "PATH": "/usr/bin:/bin"}
    small_onnx(tmp_path / "small.onnx")
    for call in (
        ["-c", "import ufw; ufw.set_mode_cpu(); print(ufw.Net, ufw.tools.on_to_umodel)"],
        ["-m", "ufw.tools.on_to_umodel", "-m", "small.onnx", "-d", "out"],
    ):
        done = subprocess.run([sys.executable, *call], env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/small_bmneto.fp32umodel").is_file()
