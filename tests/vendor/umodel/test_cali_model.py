"""cali_model: from a model and data to an INT8 bmodel."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands import Command, command
from tests.importers.caffe.nets import layer, load
from tests.vendor.umodel.networks import make_case
from tests.vendor.umodel.test_ufw import small_onnx

from bittrue import api
from bittrue.errors import UsageError
from bittrue.vendor.sophgo.ufw.cali.cali_model import OPTION_SETS, option_sets
from bittrue.vendor.sophgo.ufw.cali.preprocess import Steps
from bittrue.vendor.sophgo.ufw.cali.scores import Sample, classification, feature_similarity

pytest.importorskip("lmdb")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys, "cali_model")


def losses(text: str) -> list[float]:
    return [float(v) for v in re.findall(r"^loss (\S+), \S+ s: ", text, re.M)]


def test_from_onnx_and_pictures(tool: Command, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(3):
        Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(tmp_path / f"pictures/{i}.png")
    code, text = tool(
        "--net_name=small", f"--model={small_onnx(tmp_path / 'a.onnx')}", "--input_shapes=[1,3,12,12]",
        f"--cali_image_path={tmp_path / 'pictures'}", f"--outdir={tmp_path / 'out'}", "--test_batch_size=3",
        "--cali_image_preprocess", "resize_h=12,resize_w=12; mean_value=104:117:123, scale=0.017,bgr2rgb=True",
        "--accuracy_drop=0.2",
    )  # fmt: skip
    assert code == 0 and "chosen: -th_method=KL" in text, text
    assert len(losses(text)) == 1
    result = api.verify(tmp_path / "out/small_batch3")
    assert result.summary.passed
    assert api.load(tmp_path / "out/small_batch3").graph.types["x"].shape == (3, 3, 12, 12)


def test_all_sets_when_none_is_good_enough(tool: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    code, text = tool(
        "--net_name=net", f"--model={case.prototxt}", f"--weight={case.weights}", "--input_shapes=[1,3,12,12]",
        f"--cali_lmdb={case.lmdb}", f"--outdir={tmp_path / 'out'}", "--accuracy_drop=-1", "--cali_iterations=3",
        "--try_cali_accuracy_opt", "-th_method=JSD -merge_scale_to_conv; -th_method=SYMKL", "--fp32_layer_list=conv3",
        "--postprocess_and_calc_score_class=topx_accuracy_for_classify",
    )  # fmt: skip
    found = losses(text)
    assert code == 1 and len(found) == 2 + 6 + len(OPTION_SETS), text
    assert f"no calibration is within -1; the best loses {min(found):.4f}" in text
    model = api.load(tmp_path / "out/net_batch1")
    assert "FloatConv2d" in {n.op for n in model.graph.nodes}  # the best is compiled all the same


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "exactly one of --cali_lmdb and --cali_image_path"),
        (["--cali_lmdb=a", "--cali_image_path=b"], 2, "exactly one of"),
        (["--cali_lmdb=gone", "--model=gone.onnx"], 4, "gone.onnx: no such file"),
        (["--cali_lmdb=pictures", "--model=net_test.prototxt"], 2, "--weight is necessary"),
        (["--cali_lmdb=gone"], 4, "gone: no LMDB"),
        (["--cali_lmdb=pictures", "--cali_image_preprocess=mean_value=1,crop_h=2"], 2, "mixes steps"),
        (["--cali_lmdb=pictures", "--postprocess_and_calc_score_class=detect_accuracy"], 2, "decoder is needed"),
    ],
)
def test_wrong_calls(
    tool: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    make_case(tmp_path)
    monkeypatch.chdir(tmp_path)
    small_onnx(tmp_path / "small.onnx")
    model = [] if any(a.startswith("--model") for a in arguments) else ["--model=small.onnx"]
    got, text = tool("--net_name=n", "--input_shapes=[1,3,12,12]", "--outdir=out", *model, *arguments)
    assert got == code and message in text, text
    assert "decoder" in message or not (tmp_path / "out").exists()  # the decoder is asked for after a calibration


def test_preprocessing_steps() -> None:
    steps = Steps.parse(
        "resize_h=20,resize_w=30; crop_h=16,crop_w=16; mean_value=1:2:3, scale=0.5:0.5:0.5,bgr2rgb=True"
    )
    assert steps.size == (20, 30) and [op.op for op in steps.parameter.transform_op] == [1, 2]
    op = steps.parameter.transform_op[1]
    assert list(op.mean_value) == [1, 2, 3] and op.scale == 0.5 and op.bgr2rgb
    assert Steps.parse("").size == (0, 0) and not Steps.parse("resize_h=2,resize_w=3").parameter.transform_op
    for text, message in (
        ("scale", "name=value pairs"), ("scale=a", "'a' is no number"), ("colour=1", "no step has 'colour'"),
        ("scale=1:2:3", "one scale for all channels"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            Steps.parse(text)


def test_given_sets_come_first() -> None:
    assert list(option_sets("-a -b; -c"))[:3] == ["-a -b", "-c", "-th_method=KL"]


def test_scores(tmp_path: Path) -> None:

    graph = load(tmp_path, 'input: "a" input_shape { dim: 2 dim: 3 }\n' + layer("ReLU"))
    truth, got = (np.asarray(v, np.float32) for v in ([[1, 2, 3], [3, 2, 1]], [[1, 2, 3], [1, 2, 1]]))
    samples = [Sample({"y": truth}, {"y": got}, np.asarray([2, 0]))]
    assert classification(graph, samples) == (1.0, 0.5)
    cosine = np.sum(truth * got) / np.linalg.norm(truth) / np.linalg.norm(got)
    assert feature_similarity(graph, samples) == (1.0, pytest.approx(cosine))
