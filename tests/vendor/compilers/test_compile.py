"""What the compilers write: files, lines, numbers that no option changes, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.commands import Command, command
from tests.importers.caffe.nets import layer
from tests.vendor.compilers.networks import FC, caffe_blobs, caffe_files, caffe_text, conv, onnx_net

from bittrue import api
from bittrue.cli.main import main
from bittrue.containers.bmodel import read_bmodel
from bittrue.errors import DataError, MismatchError, UnsupportedError, UsageError
from bittrue.ops.registry import OPS, OpModel
from bittrue.vendor.sophgo.compilers import bmnetc, bmneto, bmnetu, unread
from bittrue.vendor.sophgo.compilers.options import COMPILERS

FILES = ["compilation.bmodel", "input_ref_data.dat", "io_info.dat", "output_ref_data.dat"]
OURS = ["layers_ref.npz", "manifest.json"]
TAIL = f"{'#' * 38}\n# Store bmodel of BMCompiler.\n{'#' * 38}\n"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("target", ["BM1684", "bm1682"])
def test_files_lines_and_the_runtime_test(tool: Command, tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    code, text = tool("bmnetc", *caffe_files(tmp_path), "-shapes=[2,3,12,12]", f"-outdir={out}", f"-target={target}")
    assert code == 0 and text.endswith(
        "[BMCompiler:I] save_tensor input name [data]\n[BMCompiler:I] save_tensor output name [prob]\n" + TAIL
    )
    assert names(out) == sorted(FILES + OURS)
    model = read_bmodel(out / "compilation.bmodel")
    assert model.chip == target.upper() and [n.name for n in model.nets] == ["tiny"]
    assert api.verify(out).summary.passed
    code, text = tool("bmrt_test", "--context_dir", out, "--strict")
    assert code == 0 and "+++ The network[tiny] stage[0] cmp success +++" in text


def test_document_000(tool: Command, tmp_path: Path) -> None:
    """Two batches, combined, and both stages pass."""
    model = caffe_files(tmp_path)
    for batch, folder in ((1, "x"), (4, "x4")):
        shapes = ["--shapes=[" + str(batch) + ",", "3,", "12,", "12]"]  # as the shell splits them
        assert tool("bmnetc", *model, *shapes, f"--outdir={tmp_path / folder}", "--target=BM1684")[0] == 0
    code, text = tool("bm_model.bin", "--combine_dir", tmp_path / "x", tmp_path / "x4", "-o", tmp_path / "both")
    assert code == 0 and "Success: combined to" in text
    code, text = tool("bmrt_test", "--context_dir", tmp_path / "both")
    assert code == 0 and text.count("cmp success") == 2


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 100), batch=st.integers(1, 3), dense=st.booleans(), target=st.sampled_from(["BM1682", "BM1684"])
)
def test_opt_never_changes_numbers(tmp_path: Path, seed: int, batch: int, dense: bool, target: str) -> None:
    model, weight = (
        o.partition("=")[2] for o in caffe_files(tmp_path, caffe_text(batch, FC if dense else ""), caffe_blobs(seed))
    )
    for opt in (0, 1, 2):
        assert bmnetc.compile(model, weight, str(tmp_path / f"opt{opt}"), target, opt=opt, seed=seed, v=0) == 0
    layers = [len(api.load(tmp_path / f"opt{opt}").graph.nodes) for opt in (0, 1, 2)]
    assert layers[0] > layers[1] == layers[2]
    for name in ("input_ref_data.dat", "output_ref_data.dat"):
        assert len({(tmp_path / f"opt{opt}" / name).read_bytes() for opt in (0, 1, 2)}) == 1


def test_cmp_and_dump_ref_decide_what_is_written(tool: Command, tmp_path: Path) -> None:
    model, out = caffe_files(tmp_path), tmp_path / "out"
    assert tool("bmnetc", *model, "-outdir", out, "-target=BM1684")[0] == 0
    outputs = (out / "output_ref_data.dat").read_bytes()
    code, text = tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-cmp=0")
    assert code == 0 and "compared" not in text and names(out) == ["compilation.bmodel", "manifest.json"]
    assert json.loads((out / "manifest.json").read_text())["reference_made_by"] == "none"
    code, text = tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-nocmp", "-dump_ref")
    assert code == 0 and "compared" not in text and names(out) == sorted(FILES + OURS)
    assert (out / "output_ref_data.dat").read_bytes() == outputs


def test_other_files_stay_unless_the_folder_is_cleaned(tool: Command, tmp_path: Path) -> None:
    model, out = caffe_files(tmp_path), tmp_path / "out"
    (out / "more").mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    (out / "compilation.bmodel").write_text("old")
    assert tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-enable_profile")[0] == 0
    assert names(out) == sorted([*FILES, *OURS, "layer_profile.csv", "more", "notes.txt"])
    assert tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-clean")[0] == 0
    assert names(out) == sorted(FILES + OURS)
    code, text = tool("bmnetc", *model, "-outdir", tmp_path, "-target=BM1684", "-clean")
    assert code == 2 and "net.prototxt lies in" in text and (tmp_path / "net.prototxt").exists()
    code, text = tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-clean", "-log_dir", out / "logs")
    assert code == 2 and "logs lies in" in text and (out / "compilation.bmodel").exists()


def test_profile(tool: Command, tmp_path: Path) -> None:
    model, out = caffe_files(tmp_path), tmp_path / "out"
    code, text = tool("bmnetc", *model, "-outdir", out, "-target=BM1684", "-enable_profile")
    rows = {r["layer"]: r for r in csv.DictReader((out / "layer_profile.csv").open())}
    assert code == 0 and "profile: " in text
    first = rows["conv1"]
    assert int(first["macs"]) == 8 * 6 * 6 * 27 and int(first["weight_bytes"]) == 4 * (8 * 27 + 8)
    assert (first["output_shape"], int(first["input_bytes"]), int(first["output_bytes"])) == ("1x8x6x6", 1728, 1152)
    assert tool("bmnetc", *model, "-outdir", out, "-target=BM1684")[0] == 0
    assert not (out / "layer_profile.csv").exists()


def test_lines_levels_and_their_file(tool: Command, tmp_path: Path) -> None:
    model, out = caffe_files(tmp_path), tmp_path / "out"
    options = ("-outdir", out, "-target=BM1684", "-log_dir", tmp_path / "logs")
    code, text = tool("bmnetc", *model, *options, "-v=0", "--log-style=new")
    tail = f"{'=' * 60}\n*** Store bmodel of BMCompiler...\n{'=' * 60}\n"
    assert code == 0 and text == tail == (tmp_path / "logs/bmnetc.log").read_text()
    code, text = tool("bmnetc", *model, *options, "--show_args")
    assert code == 0 and "opt = 2\n" in text and "cmp = true\n" in text and f"outdir = {out}\n" in text
    code, _ = tool("bmnetc", *model, *options, "-shapes=[1,3]")
    assert code == 2 and (tmp_path / "logs/bmnetc.log").read_text().startswith("error: shapes: input 'data' has 4")


def test_the_default_target_is_said(tool: Command, tmp_path: Path) -> None:
    code, text = tool("bmnetc", *caffe_files(tmp_path), "-outdir", tmp_path / "out")
    assert code == 0 and "[BMCompiler:W] --target is not given; the network is compiled for BM1684" in text


def test_list_and_check(tool: Command, tmp_path: Path) -> None:
    code, text = tool("bmnetc", "--list_ops")
    assert code == 0 and {"Convolution", "PriorBox", "DetectionOutput", "Input"} <= set(text.split())
    code, text = tool("bmneto", "--list_ops")
    assert code == 0 and {"Conv", "Resize", "BatchNormalization"} <= set(text.split()) and "Activation" not in text
    prototxt = caffe_files(tmp_path)[0]
    code, text = tool("bmnetc", "--check_model", prototxt, "-target=BM1684")
    assert code == 0 and "are supported by bm1684" in text
    bad = caffe_text(head=layer("Quux", "", "pool", "q", "q") + layer("SPP", "", "pool", "s", "s"))
    code, text = tool("bmnetc", "--check_model", *caffe_files(tmp_path, bad), "-target=BM1684")
    assert code == 3 and "'q' (Quux): no such layer" in text and "'s' (SPP)" in text
    assert tool("bmnetc", "--check_model")[0] == 2


@pytest.mark.parametrize("name", ["bmnett", "bmnetm", "bmnetp", "bmnetd", "bmpaddle"])
def test_frameworks_that_are_not_read(tool: Command, name: str) -> None:
    code, text = tool(name, "--model=x", "--outdir=y")
    assert code == 3 and text.count("\n") == 1
    assert text.endswith("there are bmnetc (Caffe), bmneto (ONNX), bmnetu (umodels)\n")
    with pytest.raises(UnsupportedError):
        unread.compile("model.pb", outdir="y")


@pytest.mark.parametrize("name", ["bmnetc", "bmneto", "bmnetu"])
def test_help_lists_the_table(tool: Command, name: str) -> None:
    code, text = tool(name, "--help")
    assert code == 0 and f"Example: {name} " in text and f"default {1 if name == 'bmneto' else 2})" in text
    docs = (Path(__file__).resolve().parents[3] / "docs/sophgo-compilers.md").read_text()
    for option in COMPILERS[name].tool.options:
        assert f"--{option.name}" in text and re.search(rf"\b{option.name}\b", docs), option.name


def test_python_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, weight = (o.partition("=")[2] for o in caffe_files(tmp_path))
    out = tmp_path / "out"
    assert bmnetc.compile(model, weight, str(out), "BM1684", [[2, 3, 12, 12]], "mine", dyn=False, dump_ref=True) == 0
    assert [n.name for n in read_bmodel(out / "compilation.bmodel").nets] == ["mine"]
    with pytest.raises(UsageError, match="--target=BM1690: one of BM1682, BM1684"):
        bmnetc.compile(model, weight, str(out), "BM1690")
    with pytest.raises(UsageError, match="no option"):
        bmnetc.compile(model, weight, str(out), "BM1684", color="red")
    with pytest.raises(DataError, match="no such file"):
        bmnetu.compile("nowhere.prototxt", weight, str(out))
    net = onnx_net(tmp_path / "net.onnx")
    descs = [[0, "float", -1, 1]]
    assert bmneto.compile(str(net), str(out), "BM1684", input_names=["x"], output_names=["y"], descs=descs) == 0
    x = np.fromfile(out / "input_ref_data.dat", np.float32)
    assert x.min() < -0.9 and x.max() > 0.9
    assert json.loads((out / "manifest.json").read_text())["seed"] == 0


# Every row of the table of errors, and what nothing may leave behind


def refused(
    tool: Command, folder: Path, *arguments: object, target: str = "BM1684", name: str = "bmnetc"
) -> tuple[int, str]:
    out = folder / "refused"
    code, text = tool(name, *arguments, f"--outdir={out}", f"--target={target}")
    assert not out.exists() and text.count("\n") == 1 and text.startswith("error: ")
    return code, text


def test_usage_errors(tool: Command, tmp_path: Path) -> None:
    model = caffe_files(tmp_path)
    code, text = refused(tool, tmp_path, model[0])
    assert code == 2 and "--weight is necessary" in text
    code, text = refused(tool, tmp_path, *model, "--opt=3")
    assert code == 2 and "--opt=3: one of 0, 1, 2 is needed" in text
    code, text = refused(tool, tmp_path, *model, "--shpes=[1,3,12,12]")
    assert code == 2 and "shapes" in text
    code, text = refused(tool, tmp_path, *model, "--shapes=[1,3,12,12")
    assert code == 2 and "the bracket at place 1 is not closed" in text
    code, text = refused(tool, tmp_path, *model, "--shapes=[1,3,12,12],[1,10]")
    assert code == 2 and "shapes: got 2 shapes, the model has 1 input (data)" in text
    code, text = refused(tool, tmp_path, *model, "--shapes=[1,3,0,12]")
    assert code == 2 and "dimension 0 at place 6" in text
    code, text = refused(tool, tmp_path, *model, "--shapes=[-1,3,12,12]")
    assert code == 2 and "-1 is for networks compiled with --dyn" in text
    open_text = caffe_text().replace(caffe_text().splitlines()[0], "")
    code, text = refused(tool, tmp_path, *caffe_files(tmp_path, open_text))
    assert code == 2 and "'data': the model does not say its shape; --shapes is necessary" in text
    assert tool("bmnetc", *model, "--shapes=[1,3,12,12]", f"--outdir={tmp_path / 'out'}", "--target=BM1684")[0] == 0


def test_broken_files(tool: Command, tmp_path: Path) -> None:
    model = caffe_files(tmp_path)
    code, text = refused(tool, tmp_path, "--model=missing.prototxt", model[1])
    assert code == 4 and "missing.prototxt: no such file" in text
    weights = (tmp_path / "net.caffemodel").read_bytes()
    cut = tmp_path / "cut.caffemodel"
    cut.write_bytes(weights[: len(weights) // 2])
    code, text = refused(tool, tmp_path, model[0], f"--weight={cut}")
    assert code == 4 and "cut.caffemodel: not a caffemodel, or cut off: what begins at byte " in text
    (tmp_path / "bad.prototxt").write_text(caffe_text() + "layer { colour: 3 }")
    code, text = refused(tool, tmp_path, f"--model={tmp_path / 'bad.prototxt'}", model[1])
    assert code == 4 and "bad.prototxt: line 11:9" in text and 'has no field named "colour"' in text


def test_every_unsupported_layer_is_named(tool: Command, tmp_path: Path) -> None:
    head = layer("Quux", "", "pool", "q", "q") + layer(
        "Pooling", "pooling_param { pool: STOCHASTIC kernel_size: 2 }", "pool", "p", "p"
    )
    code, text = refused(tool, tmp_path, *caffe_files(tmp_path, caffe_text(head=head)))
    assert code == 3 and "layer 'q' (Quux): no such layer" in text and "layer 'p' (Pooling): " in text
    code, text = refused(tool, tmp_path, *caffe_files(tmp_path), target="BM1684X")
    assert code == 3 and "target bm1684x has no precision 'fp32'; it has int8" in text


def test_weights_that_do_not_fit(tool: Command, tmp_path: Path) -> None:
    code, text = refused(
        tool, tmp_path, *caffe_files(tmp_path, blobs={k: v for k, v in caffe_blobs().items() if k != "conv2"})
    )
    assert code == 4 and "layer 'conv2' (Convolution): no weights under this name" in text
    code, text = refused(
        tool, tmp_path, *caffe_files(tmp_path, blobs={**caffe_blobs(), "conv2": [np.ones((8, 4, 3, 3))]})
    )
    assert code == 4 and "blob 0 has shape [8, 4, 3, 3], expected [8, 8, 3, 3]" in text
    bad = caffe_blobs()
    bad["conv2"][0][0, 0, 0, 0] = np.nan
    code, text = refused(tool, tmp_path, *caffe_files(tmp_path, blobs=bad))
    assert code == 4 and "conv2" in text and "NaN" in text
    more = {**caffe_blobs(), "loss_layer_of_training": [np.ones(3)]}
    assert tool("bmnetc", *caffe_files(tmp_path, blobs=more), "-outdir", tmp_path / "out", "-target=BM1684")[0] == 0


def break_op(monkeypatch: pytest.MonkeyPatch, op: str, change: object) -> None:
    """The reference of one op computes something else."""
    model = OPS[op]
    wrong = OpModel(op, model.attributes, lambda *a: [change(r) for r in model.evaluate(*a)])  # type: ignore[operator]
    monkeypatch.setitem(OPS, op, wrong)


def noisy(a: np.ndarray) -> np.ndarray:
    """Relative differences of 1e-6 either way."""
    signs = np.random.default_rng(0).choice([-1, 1], a.shape)
    return (a * (1 + 1e-6 * signs)).astype(np.float32)


@pytest.mark.parametrize(
    ("op", "change", "cause"),
    [
        ("FloatMaxPool2d", noisy, "cause: accumulation (by the size of the differences, not proven)"),
        # as small, but something explains it
        (
            "FloatMaxPool2d",
            lambda a: a * np.float32(1 + 1e-6),
            "nor accumulation; PROVEN: every element times 1.00000095",
        ),
        ("FloatMaxPool2d", lambda a: a + np.float32(1), "cause: neither ties, ordering nor accumulation; "),
    ],
)
def test_a_layer_that_differs_is_named_with_its_cause(
    tool: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, op: str, change: object, cause: str
) -> None:
    break_op(monkeypatch, op, change)
    code, text = refused(tool, tmp_path, *caffe_files(tmp_path), "-v=1")
    assert code == 1 and text.startswith("error: pool (FloatMaxPool2d): ") and cause in text
    assert "of 72 elements differ from the reference" in text and text.endswith("; 1 further tensors differ after it\n")
    assert tool("bmnetc", *caffe_files(tmp_path), f"-outdir={tmp_path / 'out'}", "-target=BM1684", "-cmp=0")[0] == 0


def test_detections_in_another_order_are_an_ordering_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = (
        layer("Flatten", "", "pool", "loc", "loc")
        + conv("scores", "pool", 4, "pad: 1")
        + layer("Flatten", "", "scores", "conf", "conf")
        + layer("PriorBox", "prior_box_param { min_size: 4 flip: true variance: 0.1 }", "pool data", "priors", "priors")
        + layer(
            "DetectionOutput",
            "detection_output_param { num_classes: 4 nms_param { nms_threshold: 0.4 top_k: 50 } keep_top_k: 20 "
            "share_location: false code_type: CENTER_SIZE confidence_threshold: 0.0 }",
            "loc conf priors",
            "found",
            "found",
        )
    ).replace('bottom: "pool" top: "loc"', 'bottom: "pool" top: "loc"')
    head = boxes.replace('layer { name: "loc"', conv("where", "pool", 16) + 'layer { name: "loc"').replace(
        'name: "loc" type: "Flatten" bottom: "pool"', 'name: "loc" type: "Flatten" bottom: "where"'
    )
    random = np.random.default_rng(0)
    blobs = {
        **caffe_blobs(),
        "scores": [random.standard_normal((4, 8, 3, 3)), random.standard_normal(4)],
        "where": [random.standard_normal((16, 8, 3, 3)) * 0.01, np.zeros(16)],
    }
    options = [o.partition("=")[2] for o in caffe_files(tmp_path, caffe_text(head=head), blobs)]
    assert bmnetc.compile(model=options[0], weight=options[1], outdir=str(tmp_path / "out"), target="BM1684") == 0
    break_op(monkeypatch, "DetectionOutput", lambda rows: rows[:, :, ::-1].copy())
    with pytest.raises(MismatchError, match=r"^found \(DetectionOutput\): .*cause: ordering \(the same rows"):
        bmnetc.compile(model=options[0], weight=options[1], outdir=str(tmp_path / "x"), target="BM1684")
    assert not (tmp_path / "x").exists()


def test_an_internal_error_keeps_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_op(monkeypatch, "FloatMaxPool2d", lambda a: 1 / 0)
    monkeypatch.setattr("sys.argv", ["bittrue", "bmnetc", *caffe_files(tmp_path), f"--outdir={tmp_path / 'x'}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 5 and not (tmp_path / "x").exists()
