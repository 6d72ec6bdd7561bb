"""`bittrue audit classify` and `bittrue audit detect` from the command line to the page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bittrue.report.html import render_html
from bittrue.report.result import json_schema
from tests.audit.nets import run_cli, three_convolutions
from tests.report.test_html import parse, words

BOX = (0.25, 0.125, 0.75, 0.625)


def face_network(path: Path) -> Path:
    """A detector of 16 x 16 pictures that finds a face in BOX, the surer the brighter the picture: boxes (1, 256, 4)
    and scores (1, 256, 2) after softmax, all cells alike."""
    weights = np.zeros((6, 3, 1, 1), np.float32)
    weights[5, :] = 8 / 255 / 3
    bias = np.asarray([*BOX, 2, 0], np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv"),
        helper.make_node("Transpose", ["c"], ["t"], "transpose", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "shape"], ["r"], "reshape"),
        helper.make_node("Split", ["r", "parts"], ["boxes", "logits"], "split", axis=2),
        helper.make_node("Softmax", ["logits"], ["scores"], "softmax", axis=2),
    ]
    constants = {
        "w": weights, "b": bias, "shape": np.asarray([1, 256, 6], np.int64), "parts": np.asarray([4, 2], np.int64)
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "face",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 256, k)) for n, k in (("boxes", 4), ("scores", 2))],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path / "face.onnx")
    return path / "face.onnx"


def write_pictures(folder: Path, levels: list[int], size: tuple[int, int] = (32, 32)) -> Path:
    folder.mkdir()
    for i, level in enumerate(levels):
        Image.new("RGB", size, (level,) * 3).save(folder / f"p{i}_{i % 6}.png")
    return folder


DETECT = ("--target", "bm1684,bm1684x", "--decoder", "rfb", "--method", "max")


def test_detections_from_pictures_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 0, 220])
    files = ("--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    code, out, _ = run_cli(capsys, "audit", "detect", model, "--data", data, *DETECT, *files)
    assert code == 0 and "float 2 boxes, quantized 2: matched 2, missing 0, extra 0" in out
    content = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(content, json.loads(json_schema()))
    first, second = content["audit"]["targets"]
    assert (first["target"], second["target"]) == ("bm1684", "bm1684x")
    assert first["detect"]["least_overlap"] > 0.9 and first["detect"]["against_float"]["voc"] == 1
    page = (tmp_path / "r.html").read_text()
    parse(page)
    assert page.count("data:image/jpeg;base64,") == 3  # each picture once, for both targets and both sides
    assert page.count('<g class="found d-matched">') == 2 * 2 * 2 and "http" not in re.sub(
        r"http://www\.w3\.org", "", page
    )
    # The box of the picture of 32 pixels in a drawing of 480: 8 of 32 pixels to the right, 4 down.
    assert 'x="120.0" y="60.0" width="240.0" height="240.0"' in page
    assert page == render_html(content)
    code, out, _ = run_cli(capsys, "audit", "detect", model, "--data", data, *DETECT, "--max-pictures", 1, *files)
    assert code == 0 and (tmp_path / "r.html").read_text().count("data:image/jpeg;base64,") == 1


def test_nothing_found_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [0])
    files = ("--html", tmp_path / "r.html", "--json", tmp_path / "r.json")
    code, out, _ = run_cli(capsys, "audit", "detect", model, "--data", data, *DETECT, *files)
    assert code == 0 and "warning: no box has a score of 0.5: nothing was compared" in out
    assert "nothing was compared" in words((tmp_path / "r.html").read_text())
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["audit"]["targets"][0]["detect"]["against_float"]["voc"] is None


def test_labels_judge_both_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 0])
    (tmp_path / "names.txt").write_text("background\nface\n")
    for i in range(2):
        (data / f"p{i}_{i}.xml").write_text(
            "<annotation><object><name>face</name><bndbox><xmin>9</xmin><ymin>5</ymin><xmax>24</xmax><ymax>20</ymax>"
            "</bndbox></object></annotation>"
        )
    options = ("--labels", data, "--classes", tmp_path / "names.txt", "--floor", 0.2)
    code, out, _ = run_cli(capsys, "audit", "detect", model, "--data", data, *DETECT, *options, "--min-map", "voc=0.4")
    assert code == 0 and "mAP, labels, float    : VOC07 0.5455, VOC 0.5000" in out
    code, out, err = run_cli(
        capsys, "audit", "detect", model, "--data", data, *DETECT, *options, "--min-map", "voc=0.6"
    )
    assert code == 1 and "bm1684: mAP voc 0.5, at least 0.6 allowed: missed" in err


@pytest.mark.parametrize(
    ("limit", "words_"),
    [
        (("--min-overlap", "1"), "least overlap"),
        (("--max-score-difference", "0"), "largest score difference"),
        (("--min-matched", "1", "--score", "0.95"), None),
        (("--min-matched", "0", "--score", "1"), "matched share not known, at least 0 allowed"),
        (("--max-extra", "0", "--min-overlap", "0.9", "--min-map", "coco=0.8"), None),
    ],
)
def test_limits_of_detections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: tuple[str, ...], words_: str | None
) -> None:
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 220])
    code, _, err = run_cli(capsys, "audit", "detect", model, "--data", data, *DETECT, *limit, "--html", tmp_path / "p")
    assert code == (1 if words_ else 0) and (tmp_path / "p").is_file()
    if words_:
        assert words_ in err and "missed" in err and "FAILED" in words((tmp_path / "p").read_text())


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--target", "bm1684"), 2, "--decoder is needed for outputs boxes [1, 256, 4], scores [1, 256, 2]"),
        (("--target", "bm1684", "--decoder", "ssd"), 4, "decoder ssd: one output [1, 1, K, 7] is needed"),
        (("--decoder", "rfb"), 2, "--target or --quantized is needed"),
        (("--target", "bm1684", "--decoder", "rfb", "--min-map", "x=1"), 2, "RULE one of voc07"),
        (("--target", "bm1684", "--decoder", "rfb", "--floor", "0.9"), 2, "--floor 0.9 is above --score 0.5"),
        (("--target", "bm1684", "--decoder", "rfb", "--labels", "none.json"), 4, "none.json: not COCO annotations"),
        (("--target", "bm1684", "--decoder", "rfb", "--data", "x.npz"), 4, "x.npz: not a picture"),
    ],
)
def test_what_detect_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...],
    code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.zeros((1, 3, 16, 16), np.float32))
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255])
    before = sorted(tmp_path.rglob("*"))
    got, _, err = run_cli(capsys, "audit", "detect", model, "--data", data, "--method", "max", *options, "--html", "p")
    assert (got, message in err) == (code, True), err
    assert len(err.strip().splitlines()) == 1 and sorted(tmp_path.rglob("*")) == before


def test_a_compiled_model_stands_for_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = face_network(tmp_path), write_pictures(tmp_path / "data", [255, 0, 220])
    of = ("--data", data, "--method", "max")
    assert run_cli(capsys, "compile", model, "--target", "bm1684", *of, "--outdir", tmp_path / "out")[0] == 0
    results = []
    for source in (("--target", "bm1684"), ("--quantized", tmp_path / "out")):
        files = ("--json", tmp_path / "r.json")
        assert run_cli(capsys, "audit", "detect", model, *of, "--decoder", "rfb", *source, *files)[0] == 0
        results.append(json.loads((tmp_path / "r.json").read_text())["audit"])
    assert results[0] == results[1]


def test_classification_from_pictures_to_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = three_convolutions(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(data / f"p{i}_{i % 6}.png")
    of = ("audit", "classify", model, "--target", "bm1684,bm1684x", "--method", "max", "--topk", "1,3")
    common = (*of, "--data", data)
    pattern = ("--label-pattern", r"_(\d)\.")
    files = ("--html", tmp_path / "r.html", "--json", tmp_path / "r.json", "--samples-csv", tmp_path / "s.csv")
    code, out, _ = run_cli(capsys, *common, *pattern, *files)
    assert code == 0
    content = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(content, json.loads(json_schema()))
    rates = content["audit"]["targets"][0]["classify"]["rates"]
    assert [r["k"] for r in rates] == [1, 3] and all(r["labelled"] == 12 for r in rates)
    assert f"top-1   float {rates[0]['float']:.4f}" in out
    page = words((tmp_path / "r.html").read_text())
    assert "Classification on bm1684 int8" in page and "top-3" in page
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert len(rows) == 24 and rows[2]["key"] == "p11_5.png" and rows[2]["label"] == "5"

    # the same labels by a list file, and by a file of labels
    (tmp_path / "list.txt").write_text("".join(f"data/{p.name} {p.stem[-1]}\n" for p in sorted(data.iterdir())))
    (tmp_path / "labels.txt").write_text("".join(f"{p.name} {p.stem[-1]}\n" for p in sorted(data.iterdir())))
    listed = (*of, "--data", tmp_path / "list.txt")
    for arguments in (listed, (*common, "--labels", tmp_path / "labels.txt")):
        assert run_cli(capsys, *arguments, "--json", tmp_path / "again.json")[0] == 0
        again = json.loads((tmp_path / "again.json").read_text())["audit"]["targets"][0]["classify"]["rates"]
        assert again == rates

    code, _, err = run_cli(capsys, *common, *pattern, "--min-top", "1=1")
    assert code == 1 and "quantized top-1" in err and "at least 1 allowed: missed" in err
    code, _, err = run_cli(capsys, *common, *pattern, "--max-drop", "3=-1", "--max-flips", 0)
    assert code == 1 and "drop of top-3" in err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--topk", "0"), 2, "--topk 0: whole numbers from 1"),
        (("--min-top", "2=0.5"), 2, "a limit of top-2 needs it in --topk"),
        (("--min-top", "1"), 2, "'1': K=SHARE is needed"),
        (("--max-drop", "1=7"), 2, "'1=7': a share of one is needed"),
        (("--classes", "names.txt"), 2, "--classes needs --label-pattern"),
        (("--labels", "l.txt", "--label-pattern", "(a)"), 2, "give one of them"),
        (("--min-top", "1=0.5"), 4, "top-k needs labelled data"),
        (("--output", "w"), 4, "no output 'w'; it has y"),
        (("--label-pattern", r"_(\d)\.", "--quantized", "missing.onnx"), 4, "missing.onnx"),
    ],
)
def test_what_classify_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, message: str
) -> None:
    model, data = three_convolutions(tmp_path), write_pictures(tmp_path / "data", [10, 200])
    got, _, err = run_cli(
        capsys, "audit", "classify", model, "--target", "bm1684", "--data", data, "--method", "max", *options
    )
    assert (got, message in err) == (code, True), err
    assert len(err.strip().splitlines()) == 1


def test_audit_without_a_command_is_audit_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = three_convolutions(tmp_path), write_pictures(tmp_path / "data", [10, 200])
    arguments = (model, "--target", "bm1684", "--data", data, "--method", "max")
    plain, named = (run_cli(capsys, "audit", *start, *arguments) for start in ((), ("network",)))
    assert plain == named and plain[0] == 0
    code, out, _ = run_cli(capsys, "audit", "--help")
    assert code == 0 and all(f"\n  {name}" in out for name in ("network", "classify", "detect"))


def test_only_pictures_inside_the_page_are_shown() -> None:
    """A stored result may come from anywhere: no address, no script, no dictionary's own names."""
    shown = {"key": "a", "float": [{"box": ["NaN", 1, 2], "state": "<b>", "class": "<i>", "points": [["x"]]}]}
    detect = {"pictures": 1, "shown": [shown, {"key": "b"}, {"key": "c"}], "rows": []}
    images = {
        "a": {"width": 10, "height": 5, "image": "data:image/jpeg;base64,AAAA"},
        "b": {"width": 10, "height": 5, "image": "https://example.com/x.jpg"},
        "c": {"width": 0, "height": 5, "image": "data:image/png;base64,AAAA"},
    }
    page = render_html({"kind": "audit", "audit": {"detect": detect, "pictures": images}})
    parse(page)
    assert page.count("<image ") == 1 and "example.com" not in page and "<i> " not in page
    assert page.count('<figure class="pictures">') == 1 and "d-extra" in page
