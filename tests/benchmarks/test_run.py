"""A whole run on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
from benchmarks import __main__ as bench
from tests.benchmarks.tiny import TINY


def test_a_run_writes_every_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(bench.NETWORKS, "tiny", TINY)
    assert bench.main(["--quick", "--only", "tiny", "--threads", "1", "--output", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "results.json").read_text())
    assert [r["engine"] for r in result["rows"]] == ["bm1684", "bm1684x", "onnxruntime", "litert"]
    ratios = [r["ratio"] for r in result["rows"][:2]]
    assert result["summary"]["worst"] == min(ratios)
    assert result["summary"]["geomean_1t"] == pytest.approx((ratios[0] * ratios[1]) ** 0.5)
    layers = result["layers"]["tiny"]["bm1684 1t"]
    assert sum(v["share"] for v in layers) == pytest.approx(1)
    assert "conv0" in (tmp_path / "layers.txt").read_text()


def test_a_compiler_that_is_missing_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert bench.main(["--quick", "--output", str(tmp_path / "out")]) == 2
    assert "no-such-compiler" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
