"""view_demo and `analysis.calibration_visual`: the vendor's figures of every blob."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.commands import Command, command
from tests.report.test_html import parse, words
from tests.vendor.umodel.networks import Case, make_case

from bittrue.containers.lmdb_folder import read_lmdb
from bittrue.errors import UsageError
from bittrue.vendor.sophgo.analysis import Difference, calibration_visual
from bittrue.vendor.sophgo.shims import write_shims
from bittrue.vendor.sophgo.ufw.net import FP32, INT8, BlobNet

pytest.importorskip("lmdb")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys)


@pytest.fixture
def case(run: Command, tmp_path: Path) -> Case:
    made = make_case(tmp_path)
    arguments = (f"-model={made.prototxt}", f"-weights={made.weights}", "-iterations=4", "-save_test_proto")
    assert run("calibration_use_pb", "quantize", *arguments)[0] == 0
    return made


def arguments(case: Case) -> list[str]:
    folder = case.folder
    files = {
        "fm": "net_test_fp32_unique_top.prototxt",
        "fw": "net.caffemodel",
        "im": "net_test_int8_unique_top.prototxt",
    }
    given = [part for name, file in files.items() for part in (f"-{name}", str(folder / file))]
    return [*given, "-iw", str(folder / "net.int8umodel"), "--html", str(folder / "view.html")]


def test_figures_by_hand() -> None:
    d = Difference("a", "Convolution")
    d.add(np.asarray([1.0, -2.0, 0.0]), np.asarray([1.5, -2.0, 3.0]))
    d.add(np.asarray([4.0]), np.asarray([2.0]))
    assert d.mape == pytest.approx(100 * (0.5 + 0 + 0.5) / 3)
    r, g = np.asarray([1, -2, 0, 4.0]), np.asarray([1.5, -2, 3, 2.0])
    assert d.cos == pytest.approx(0.5 + 0.5 * (r @ g) / np.sqrt((r @ r) * (g @ g)))
    assert Difference("b", "ReLU").mape is None


def test_every_layer_is_compared_or_fused(run: Command, case: Case) -> None:
    code, text = run("view_demo", *arguments(case), "-show_difference", "1", "-max_sample", "3")
    assert code == 0
    lines = {line.split()[0]: line for line in text.splitlines()[1:]}
    assert lines["bn1"].endswith("fused")  # BatchNorm is part of the convolution
    assert "top1" not in lines  # an Accuracy layer computes no blob
    found = re.search(r"(\S+) +(\S+)$", lines["prob"])
    folder = case.folder
    nets = [
        BlobNet(folder / f"net_test_{mode}_unique_top.prototxt", folder / weights, mode)
        for mode, weights in ((FP32, "net.caffemodel"), (INT8, "net.int8umodel"))
    ]
    mean = np.asarray([100, 110, 120], np.float32).reshape(3, 1, 1)
    feeds = [{"data": (sample.array - mean) * np.float32(0.02)} for _, sample in list(read_lmdb(case.lmdb))[:3]]
    r, g = (np.concatenate([net.run(f)["prob"].ravel() for f in feeds]).astype(np.float64) for net in nets)
    assert found and float(found[1]) == pytest.approx(100 * np.mean(np.abs(r - g) / np.abs(r)), abs=1e-3)
    assert float(found[2]) == pytest.approx(0.5 + 0.5 * (r @ g) / np.sqrt((r @ r) * (g @ g)), abs=1e-6)
    page = (folder / "view.html").read_text()
    parse(page)
    assert "MAPE % COS" in words(page) and "BatchNorm, fused" in words(page) and "3 records" in words(page)


def test_the_class_of_the_vendor(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    view = calibration_visual([*arguments(case), "-show_difference", "0", "-max_sample", "999"])
    view.run()
    assert capsys.readouterr().out == "" and (case.folder / "view.html").is_file()
    view.show_widgets()
    assert capsys.readouterr().out.strip() == str(case.folder / "view.html")
    with pytest.raises(UsageError, match="--iw is necessary"):
        calibration_visual(arguments(case)[:6])
    names = {p.relative_to(case.folder / "bin").as_posix() for p in write_shims(case.folder / "bin")}
    assert {"view_demo", "python/analysis.py"} <= names


def test_float_weights_are_no_int8_network(run: Command, case: Case) -> None:
    wrong = [str(case.weights) if a.endswith("int8umodel") else a for a in arguments(case)]
    code, text = run("view_demo", *wrong)
    assert code == 3 and "net.caffemodel" in text and not (case.folder / "view.html").exists()
