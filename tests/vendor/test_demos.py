"""classify_demo, detect_demo and face_demo: their calls, their lines, and the numbers behind them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.audit.test_task_cli import BOX, face_network, write_pictures
from tests.commands import Command, command
from tests.shared import SHARED, needs_shared
from tests.vendor.umodel.networks import CLASSES, Case, layers, make_case

from bittrue.containers.lmdb_folder import read_lmdb, write_lmdb
from bittrue.runtime.session import Session
from bittrue.vendor.sophgo.shims import write_shims
from bittrue.vendor.sophgo.umodel import open_int8

pytest.importorskip("lmdb")


@pytest.fixture
def bittrue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


def quantized(bittrue: Command, case: Case) -> None:
    code, text = bittrue("calibration_use_pb", "release", f"-model={case.prototxt}", f"-weights={case.weights}")
    assert code == 0, text


def classify_options(case: Case) -> list[str]:
    folder = case.folder
    return [
        f"--model={case.prototxt}", f"--weights={case.weights}", f"--int8weights={folder / 'net.int8umodel'}",
        f"--int8model={folder / 'net_deploy_int8_unique_top.prototxt'}", f"--data={case.lmdb}",
    ]  # fmt: skip


def test_classify_demo_counts_what_the_umodel_computes(bittrue: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path, records=20)
    quantized(bittrue, case)
    code, text = bittrue("classify_demo", *classify_options(case), "--topk=1,3")
    assert code == 0
    opened = open_int8(tmp_path / "net_deploy_int8_unique_top.prototxt", tmp_path / "net.int8umodel")
    session, right = Session(opened.model.graph), 0
    for _, sample in read_lmdb(case.lmdb):
        x = (sample.array - np.asarray([100, 110, 120], np.float32).reshape(3, 1, 1)) * np.float32(0.02)
        scores = next(iter(session.run({"data": x.astype(np.float32)}).outputs.values())).ravel()
        right += int((scores > scores[sample.label]).sum() < 1)
    found = re.search(r"^top-1: fp32 (\S+), int8 (\S+), difference (\S+)$", text, re.M)
    assert found and found[2] == f"{right / 20:.4f}"
    assert float(found[3]) == pytest.approx(float(found[2]) - float(found[1]), abs=1e-4)
    assert re.search(r"^top-3: fp32 ", text, re.M) and re.search(r"^flipped \d+ of 20 pictures$", text, re.M)


def test_classify_demo_takes_labels_and_a_part_of_the_data(bittrue: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    quantized(bittrue, case)
    (tmp_path / "labels.txt").write_text("".join(f"{i % CLASSES}\n" for i in range(6)))
    by_file = bittrue("classify_demo", *classify_options(case), "--labels", tmp_path / "labels.txt")
    assert by_file == bittrue("classify_demo", *classify_options(case)) and by_file[0] == 0
    assert "of 2 pictures" in bittrue("classify_demo", *classify_options(case), "-iterations=2")[1]


def test_classify_demo_refuses(bittrue: Command, tmp_path: Path) -> None:
    case = make_case(tmp_path)
    quantized(bittrue, case)
    given = classify_options(case)
    float_weights = [o if "int8weights" not in o else f"--int8weights={case.weights}" for o in given]
    write_lmdb(tmp_path / "bare", [("0", np.zeros((1, 3, 12, 12), np.float32), None)])
    bare = [o if "--data" not in o else f"--data={tmp_path / 'bare'}" for o in given]
    for options, code, message in (
        (given[:-1], 2, "--data is necessary"),
        ([*given, "--topk=0"], 2, "--topk=0: whole numbers from 1"),
        ([*given, "--mean=a"], 2, "--mean=a: numbers separated by commas are needed"),
        (float_weights, 2, "holds float weights, an INT8 umodel is needed"),
        (bare, 4, "has no labels; give --labels"),
    ):
        got, text = bittrue("classify_demo", *options)
        assert (got, message in text) == (code, True), text


def test_face_demo_on_a_compiled_model(bittrue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 0])
    made = ("--data", data, "--method", "max", "--channels", "BGR", "--outdir", "out")
    assert bittrue("compile", model, "--target", "bm1684", *made)[0] == 0
    picture = data / "p0_0.png"
    code, text = bittrue("face_demo", model, "out", "0.5", picture, "--decoder=rfb")
    lines = text.splitlines()
    assert code == 0 and lines[0] == "final predict 1 bboxes"
    corner = re.fullmatch(r"x1=(\d+) y1=(\d+) w=(\d+) h=(\d+)", lines[1])
    assert corner and [int(v) for v in corner.groups()] == pytest.approx([32 * v for v in (*BOX[:2], 0.5, 0.5)], abs=1)
    assert lines[2].startswith("fp32 1 bboxes: matched 1, missing 0, extra 0, mean IoU 0.9")
    drawn, plain = (np.asarray(Image.open(p).convert("RGB")) for p in (tmp_path / "detection_int8.png", picture))
    assert drawn.shape == plain.shape and (drawn != plain).any()
    code, text = bittrue("detect_demo", model, "out", "0.5", data / "p1_1.png", "--decoder=rfb", "--outdir=none")
    assert code == 0 and text.splitlines() == [
        "final predict 0 bboxes", "fp32 0 bboxes: matched 0, missing 0, extra 0"
    ]  # fmt: skip


def test_face_demo_refuses(bittrue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 0])
    case = make_case(tmp_path)
    deploy = tmp_path / "deploy.prototxt"
    deploy.write_text('input: "data" input_dim: 1 input_dim: 3 input_dim: 12 input_dim: 12\n' + layers())
    before = sorted(tmp_path.rglob("*"))
    picture = data / "p0_0.png"
    for words, code, message in (
        ((model, "out", "0.5"), 2, "PROTOTXT UMODEL THRESHOLD PICTURE are needed, got 3 words"),
        ((case.prototxt, case.weights, "7", picture), 2, "threshold 7: a score from 0 to 1 is needed"),
        ((deploy, case.weights, "0.5", picture), 2, "--decoder is needed for outputs prob [1, 5]"),
        ((case.prototxt, case.weights, "0.5", picture, "--decoder=x"), 2, "one of ssd, yolo"),
        ((case.prototxt, tmp_path / "none.umodel", "0.5", picture), 4, "none.umodel: cannot be read"),
        ((deploy, case.weights, "0.5", data, "--decoder=ssd"), 4, "data: not a picture (.bmp, .jpeg"),
        ((deploy, case.weights, "0.5", deploy, "--decoder=ssd"), 4, "deploy.prototxt: not a picture"),
    ):
        got, text = bittrue("face_demo", *words)
        assert (got, message in text) == (code, True), (words, text)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_demos_have_launchers(tmp_path: Path) -> None:
    names = {p.name for p in write_shims(tmp_path)}
    assert {"classify_demo", "detect_demo", "face_demo"} <= names


@needs_shared
def test_a_real_detector_finds_the_same_faces_as_umodel(
    bittrue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Caffe SSD from its files to the INT8 umodel, float and INT8 boxes of a picture with four faces."""
    assert SHARED
    monkeypatch.chdir(tmp_path)
    folder = SHARED / "models/caffe/yufacedetect-ssd"
    weights = tmp_path / "yuface.caffemodel"
    weights.write_bytes((folder / "yufacedetectnet-open-v1.caffemodel").read_bytes())
    text = (folder / "yufacedetectnet-open-v1.prototxt").read_text()
    head, body = text.split('input: "data"')[0], text.split("}", 1)[1]
    data = (
        'layer { name: "data" type: "Data" top: "data" include { phase: TEST } transform_param { mean_value: 103.94 '
        'mean_value: 116.78 mean_value: 123.68 } data_param { source: "pictures" batch_size: 0 backend: LMDB } }'
    )
    (tmp_path / "yuface.prototxt").write_text(head + data + body)
    picture = SHARED / "data/coral/face.jpg"
    pixels = np.asarray(Image.open(picture).convert("RGB").resize((320, 240)), np.float32)[:, :, ::-1]
    write_lmdb(tmp_path / "pictures", [("0", np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]), None)])
    options = ("-model=yuface.prototxt", "-weights=yuface.caffemodel", "-iterations=1", "-th_method=MAX")
    assert bittrue("calibration_use_pb", "quantize", *options)[0] == 0
    mean = "--mean=103.94,116.78,123.68"
    results = []
    for form, file in (("fp32", "yuface.caffemodel"), ("int8", "yuface.int8umodel")):
        prototxt = f"yuface_deploy_{form}_unique_top.prototxt"
        code, text = bittrue("face_demo", prototxt, file, "0.7", picture, mean)
        assert code == 0, text
        results.append(text.splitlines())
    assert results[0][0] == results[1][0] == "final predict 4 bboxes" and len(results[0]) == 5
    assert "matched 4, missing 0, extra 0" in results[1][5]
    assert (tmp_path / "detection.png").is_file() and (tmp_path / "detection_int8.png").is_file()
