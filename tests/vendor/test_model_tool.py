"""The vendor's container tool under its names: verbs, exit codes, messages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bittrue import api
from bittrue.vendor.sophgo.model_tool import NAMES, VERBS, run
from bittrue.vendor.sophgo.shims import write_shims

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tool") / "net"
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    api.compile(graph, "bm1684", folder, table=table, net_name="digits")
    return folder


def test_reading_verbs(net: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(net / "compilation.bmodel")
    monkeypatch.chdir(net.parent)
    expected = {
        "--info": "net 0: [digits]", "--print": "digits", "--weight": "stem_conv.filter", "--chip": "BM1684",
        "--is_dynamic": "false", "--dynamic": "false",
    }  # fmt: skip
    for verb, text in expected.items():
        assert run("bm_model.bin", [verb, file]) == 0
        assert text in capsys.readouterr().out, verb
    assert run("bm_model.bin", ["--chip", file]) == 0
    assert capsys.readouterr().out == "BM1684"
    assert run("bm_model.bin", ["--version"]) == 0
    assert run("bm_model.bin", ["--dump", file, "0", "16", "head.bin"]) == 0
    assert (net.parent / "head.bin").stat().st_size == 16


def test_combining(
    net: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    graph = api.load_float(FOLDER / "digits.onnx")
    api.compile(graph, "bm1684", other, precision="fp32", net_name="digits_fp32")
    models = [str(f / "compilation.bmodel") for f in (net, other)]
    assert run("bm_model.bin", ["--combine", *models, "-o", "both.bmodel"]) == 0
    assert "Success: combined to [both.bmodel]." in capsys.readouterr().out
    assert run("bm_model.bin", ["--combine_dir", str(net), str(other), "-o", "both"]) == 0
    assert api.verify(tmp_path / "both").summary.passed
    assert run("bm_model.bin", ["--extract", "both.bmodel"]) == 0
    assert {"bm_net0_stage0.bmodel", "bm_net1_stage0.bmodel"} <= {p.name for p in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Usage: tpu_model"),
        (["--nothing"], "Usage: tpu_model"),
        (["info", "x"], "Usage: tpu_model"),
        (["--info"], "Error :"),
        (["--info", "no.bmodel"], "no.bmodel"),
        (["--chip", "no.bmodel"], "Error :"),
        (["--dump", "no.bmodel", "0", "1", "x"], "Error :"),
    ],
)
def test_errors_are_255(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tpu_model", arguments) == 255
    assert text in capsys.readouterr().out


def test_launchers(net: Path, tmp_path: Path) -> None:
    names = {p.name for p in write_shims(tmp_path)}
    assert {"bmrt_test", "envsetup_cmodel.sh", *NAMES} <= names
    for name in NAMES:
        done = subprocess.run(
            [tmp_path / name, "--info", net / "compilation.bmodel"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "net 0: [digits]" in done.stdout
    assert subprocess.run([tmp_path / "model_tool", "--info", "no"], capture_output=True, check=False).returncode == 255
    assert all(v.startswith("--") for v in VERBS)
