"""The command line end to end: the main job, exit codes, one-line errors, nothing half written."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from tests.shared import SHARED, needs_shared

from bittrue.cli.main import VERBS
from bittrue.cli.output import FORMATS
from bittrue.containers.context_dir import file_sha256

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "reference_data/digits"


def bittrue(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bittrue.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def fails(code: int, text: str, *arguments: object) -> None:
    done = bittrue(*arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    done = bittrue("demo", "--outdir", out)
    assert done.returncode == 0, done.stderr
    return out


def test_demo(demo: Path) -> None:
    names = {p.name for p in (demo / "bm1684").iterdir()}
    assert names == {
        "compilation.bmodel",
        "input_ref_data.dat",
        "output_ref_data.dat",
        "io_info.dat",
        "layers_ref.npz",
        "manifest.json",
    }
    result = json.loads((demo / "result.json").read_text())
    assert result["summary"]["passed"] and result["summary"]["mismatches"] == 0
    audit = result["audit"]
    assert audit["float"]["top1"] >= 0.97
    assert abs(audit["float"]["top1"] - audit["quantized"]["top1"]) <= 0.01
    page = (demo / "report.html").read_text()
    assert "<script" not in page and "http" not in page and "stem_relu_out" in page
    assert ET.parse(demo / "junit.xml").getroot().find("testsuite") is not None


@pytest.mark.parametrize("path", ["reference", "generic"])
@pytest.mark.parametrize("threads", [1, 3])
def test_verify(demo: Path, path: str, threads: int) -> None:
    done = bittrue("verify", "--context_dir", demo / "bm1684", "--path", path, "--threads", threads)
    assert done.returncode == 0, done.stderr
    assert "+++ The network[digits] stage[0] cmp success +++" in done.stdout
    assert done.stdout.splitlines()[-1] == "bittrue verify PASSED"


def copy_of(demo: Path, target: Path) -> Path:
    target.mkdir()
    for file in (demo / "bm1684").iterdir():
        if file.name != "manifest.json":  # its hashes would name the change first
            (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_wrong_layer_is_named(demo: Path, tmp_path: Path) -> None:
    context = copy_of(demo, tmp_path / "context")
    layers = dict(np.load(context / "layers_ref.npz"))
    layers["branch_a_relu_out"][0, 3, 1, 2] ^= 1
    np.savez(context / "layers_ref.npz", **layers)
    done = bittrue("verify", "-d", context, "--json", tmp_path / "r.json")
    assert done.returncode == 1
    assert "first divergent layer 6 branch_a_conv" in done.stdout
    assert "cmp failed" in done.stdout
    tensors = json.loads((tmp_path / "r.json").read_text())["nets"][0]["tensors"]
    bad = [t for t in tensors if t["verdict"] != "EQUAL"]
    assert [(t["name"], t["verdict"], t["n_bad"], t["worst"][0]["index"]) for t in bad] == [
        ("branch_a_relu_out", "OFF_BY_LSB", 1, [0, 3, 1, 2])
    ]
    again = bittrue("report", tmp_path / "r.json", "--html", tmp_path / "r.html", "--junit", tmp_path / "r.xml")
    assert again.returncode == 0 and "OFF_BY_LSB" in (tmp_path / "r.html").read_text()
    assert 'failures="1"' in (tmp_path / "r.xml").read_text()


def test_every_judging_verb_writes_every_format(demo: Path, tmp_path: Path) -> None:
    context, stored = demo / "bm1684", tmp_path / "stored.json"
    verbs = (
        ["verify", "-d", context],
        ["compare", context / "layers_ref.npz", context / "layers_ref.npz"],
        ["judge", stored],
        ["report", stored],
    )
    assert bittrue("verify", "-d", context, "--json", stored).returncode == 0
    for verb in verbs:
        files = {name: tmp_path / f"{verb[0]}.{name}" for name in FORMATS}
        done = bittrue(*verb, *(part for name, file in files.items() for part in (f"--{name}", file)))
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout
        assert files["html"].read_text().startswith("<!doctype html>")
        assert ET.parse(files["junit"]).getroot().get("failures") == "0"
        rows = list(csv.DictReader(files["csv"].open()))
        assert {row["verdict"] for row in rows} == {"EQUAL"} and "stem_relu_out" in {row["name"] for row in rows}
        assert json.loads(files["json"].read_text())["summary"]["passed"]


def test_a_result_says_what_it_was_made_of(demo: Path) -> None:
    result = json.loads((demo / "result.json").read_text())
    assert {"model_sha256", "table_sha256", "profile_sha256", "compiled_sha256"} <= set(result["model"])
    assert result["model"]["compiled_sha256"] == file_sha256(demo / "bm1684/compilation.bmodel")
    assert result["model"]["model_sha256"] == file_sha256(DIGITS / "digits.onnx")
    assert result["target"]["arithmetic"]
    reads = {t["name"]: t["reads"] for t in result["nets"][0]["tensors"]}
    assert reads["branches_out"] == ["branch_a_relu_out", "branch_b_relu_out"]
    page = (demo / "report.html").read_text()
    assert all(result["model"][key] in page for key in result["model"] if key.endswith("sha256"))


def test_a_wrong_output_fails_and_a_missing_layer_fails(demo: Path, tmp_path: Path) -> None:
    context = copy_of(demo, tmp_path / "context")
    data = bytearray((context / "output_ref_data.dat").read_bytes())
    data[0] ^= 1
    (context / "output_ref_data.dat").write_bytes(data)
    (context / "layers_ref.npz").unlink()
    done = bittrue("verify", "-d", context)
    assert done.returncode == 1 and "only the network outputs" in done.stdout
    assert bittrue("verify", "-d", context, "--accuracy_f", "0.01").returncode == 0
    layers = dict(np.load(demo / "bm1684/layers_ref.npz"))
    np.savez(context / "layers_ref.npz", **{("other" if k == "pool_out" else k): v for k, v in layers.items()})
    done = bittrue("verify", "-d", context)
    assert done.returncode == 1 and "MISSING" in done.stdout


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("name", ["input_ref_data.dat", "output_ref_data.dat"])
def test_reference_data_of_the_wrong_size(demo: Path, tmp_path: Path, name: str, change: int) -> None:
    context = copy_of(demo, tmp_path / "context")
    data = (context / name).read_bytes()
    (context / name).write_bytes(data[:change] if change < 0 else data + b"x")
    fails(4, name, "verify", "-d", context)


def test_damaged_context_directories(demo: Path, tmp_path: Path) -> None:
    fails(4, "missing", "verify", "-d", tmp_path / "missing")
    context = copy_of(demo, tmp_path / "context")
    bmodel = context / "compilation.bmodel"
    data = bmodel.read_bytes()
    bmodel.write_bytes(data[: len(data) // 2])
    fails(4, "compilation.bmodel", "verify", "-d", context)
    changed = bytearray(data)
    changed[-300] ^= 255
    bmodel.write_bytes(changed)
    assert bittrue("verify", "-d", context).returncode == 4
    bmodel.write_bytes(data)
    fails(2, "no network 5", "verify", "-d", context, "--net_idx", 5)
    fails(2, "no stage 7", "verify", "-d", context, "--stage_idx", 7)


def test_the_manifest_guards_the_files(demo: Path, tmp_path: Path) -> None:
    context = copy_of(demo, tmp_path / "context")
    (context / "manifest.json").write_bytes((demo / "bm1684/manifest.json").read_bytes())
    data = bytearray((context / "input_ref_data.dat").read_bytes())
    data[0] ^= 1
    (context / "input_ref_data.dat").write_bytes(data)
    fails(4, "input_ref_data.dat", "verify", "-d", context)


def test_calibrate_compile_run_compare(tmp_path: Path) -> None:
    table = tmp_path / "t.json"
    arguments = ["--data", DIGITS / "calibration.npz", "--iterations", 20]
    done = bittrue("calibrate", DIGITS / "digits.onnx", *arguments, "--method", "max", "-o", table)
    assert done.returncode == 0, done.stderr
    for target, precision in (("bm1684", "int8"), ("bm1684x", "int8"), ("bm1684", "fp32")):
        out = tmp_path / f"{target}.{precision}"
        options = ["--target", target, "--precision", precision, "--table", table, "--outdir", out]
        done = bittrue("compile", DIGITS / "digits.onnx", *options, "--data", DIGITS / "calibration.npz")
        assert done.returncode == 0, done.stderr
        assert bittrue("verify", "-d", out).returncode == 0
        np.savez(tmp_path / "x.npz", image=np.load(DIGITS / "calibration.npz")["image"][:1])
        done = bittrue("run", out, "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz", "--all-tensors")
        assert done.returncode == 0, done.stderr
        assert bittrue("compare", out / "layers_ref.npz", tmp_path / "y.npz").returncode == 0
        assert bittrue("inspect", out).returncode == 0
    done = bittrue("run", out, "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz", "--counters")
    assert "accumulator" in done.stdout


def test_quantized_inputs_and_outputs(tmp_path: Path) -> None:
    options = ["--target", "bm1684", "--data", DIGITS / "calibration.npz", "--method", "max", "--iterations", 5]
    done = bittrue(
        "compile", DIGITS / "digits.onnx", *options, "--outdir", tmp_path / "o", "--quant-input", "--net-name", "q"
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o/input_ref_data.dat").stat().st_size == 64
    assert bittrue("verify", "-d", tmp_path / "o").returncode == 0


def test_bad_models_and_options(tmp_path: Path) -> None:
    out = tmp_path / "out"
    common = ["--target", "bm1684", "--data", DIGITS / "calibration.npz", "--outdir", out]
    fails(4, "nothing.onnx", "compile", tmp_path / "nothing.onnx", *common)
    (tmp_path / "broken.onnx").write_bytes((DIGITS / "digits.onnx").read_bytes()[:1000])
    fails(4, "broken.onnx", "compile", tmp_path / "broken.onnx", *common)
    (tmp_path / "model.xyz").write_bytes(b"")
    fails(3, "model.xyz", "compile", tmp_path / "model.xyz", *common)
    fails(2, "no target 'bm9'", "compile", DIGITS / "digits.onnx", *common, "--target", "bm9")
    fails(2, "no calibration method 'magic'", "compile", DIGITS / "digits.onnx", *common, "--method", "magic")
    fails(2, "needs --table or --data", "compile", DIGITS / "digits.onnx", "--target", "bm1684", "--outdir", out)
    np.savez(tmp_path / "nan.npz", image=np.full((1, 1, 8, 8), np.nan, np.float32))
    fails(4, "NaN", "calibrate", DIGITS / "digits.onnx", "--data", tmp_path / "nan.npz", "-o", tmp_path / "t")
    np.savez(tmp_path / "shape.npz", image=np.zeros((1, 2, 8, 8), np.float32))
    fails(4, "shape.npz", "calibrate", DIGITS / "digits.onnx", "--data", tmp_path / "shape.npz", "-o", tmp_path / "t")
    (tmp_path / "short.table").write_text("image 1.0 0.0 1.0\n")
    fails(4, "no threshold for", "compile", DIGITS / "digits.onnx", *common, "--table", tmp_path / "short.table")
    assert not out.exists() and not (tmp_path / "t").exists()


def test_all_unsupported_nodes_are_listed(tmp_path: Path) -> None:
    x = onnx.helper.make_tensor_value_info("x", 1, [1, 4, 8, 8])
    y = onnx.helper.make_tensor_value_info("y", 1, [1, 4, 8, 8])
    nodes = [
        onnx.helper.make_node("LpNormalization", ["x"], ["a"], "first_norm"),
        onnx.helper.make_node("Relu", ["a"], ["b"], "relu"),
        onnx.helper.make_node("LpNormalization", ["b"], ["y"], "second_norm"),
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", [x], [y]), opset_imports=[onnx.helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, tmp_path / "norm.onnx")
    done = bittrue(
        "compile", tmp_path / "norm.onnx", "--target", "bm1684", "--precision", "fp32", "--outdir", tmp_path / "o"
    )
    assert done.returncode == 3
    assert "first_norm (LpNormalization)" in done.stderr and "second_norm (LpNormalization)" in done.stderr
    assert not (tmp_path / "o").exists()


@needs_shared
@pytest.mark.parametrize(
    ("name", "code", "text"),
    [("rec_cnn", 0, "0 of 46080 elements differ"), ("lstm_dynamic", 3, "firmware instructions")],
)
def test_vendor_files(name: str, code: int, text: str) -> None:
    assert SHARED is not None
    folder = SHARED / "oracle/bm1684/bmodels" / name
    assert bittrue("bmodel", "info", folder / "compilation.bmodel").returncode == 0
    done = bittrue("verify", "--context_dir", folder)
    assert done.returncode == code and text in done.stdout + done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_teaches(verb: str) -> None:
    done = bittrue(verb, "--help")
    vendor = verb in ("bmrt_test", "bm_model.bin", "tpu_model", "model_tool")  # their help ends like a failure
    assert done.returncode == (255 if vendor else 0) and "xample" in done.stdout


def test_empty_folders_and_unknown_verbs(tmp_path: Path) -> None:
    assert bittrue("conformance", tmp_path, "--target", "bm1684").returncode == 1
    assert bittrue("frobnicate").returncode == 2
    assert bittrue("doctor").returncode == 0
    assert bittrue("targets", "diff", "bm1684", "bm1684x").returncode == 0
