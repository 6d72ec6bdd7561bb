"""BM1682: BM1684's float arithmetic, all of it said to be assumed, and no integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.commands import command

from bittrue import api
from bittrue.containers.bmodel import read_bmodel
from bittrue.errors import UnsupportedError, UsageError
from bittrue.targets.loader import load_target

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"


def test_its_network_computes_what_bm1684_computes_and_claims_nothing(tmp_path: Path) -> None:
    graph = api.load_float(FOLDER / "digits.onnx")
    feeds = next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    model = api.compile(graph, "BM1682", tmp_path / "out", precision="fp32", reference=feeds)
    assert read_bmodel(tmp_path / "out/compilation.bmodel").chip == "BM1682"
    assert {n.attrs["evidence"] for n in model.graph.nodes} == {"assumed"}
    other = api.quantize(graph, None, "bm1684", precision="fp32")
    got, wanted = (api.Session(m.graph).run(feeds).outputs for m in (model, other))
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value)
    assert api.verify(tmp_path / "out").summary.passed


def test_every_claim_of_the_profile_is_assumed() -> None:
    profile, base = load_target("bm1682").profile, load_target("bm1684").profile
    assert {r.evidence for r in profile.rules.values()} == {"assumed"}
    assert {s.evidence for support in profile.ops.values() for s in support.values()} == {"assumed"}
    assert set(profile.ops) == {op for op, support in base.ops.items() if "float" in support}
    assert profile.sha256 != base.sha256


def test_int8_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    graph = api.load_float(FOLDER / "digits.onnx")
    with pytest.raises(UnsupportedError, match=r"^target bm1682 has no precision 'int8'; it has fp32$"):
        api.quantize(graph, {}, "bm1682", precision="int8")
    with pytest.raises(UsageError, match="no precision 'int7'"):
        api.quantize(graph, {}, "bm1682", precision="int7")
    run = command(monkeypatch, capsys, "compile")
    data = ("--data", FOLDER / "calibration.npz", "--iterations", 2)
    code, text = run(FOLDER / "digits.onnx", "--target", "bm1682", *data, "--outdir", tmp_path / "x")
    assert code == 3 and "no precision 'int8'" in text and not (tmp_path / "x").exists()
