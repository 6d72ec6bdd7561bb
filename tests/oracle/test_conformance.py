"""Recordings of the vendor's BM1684 simulator: zero mismatches, on every path and by the numpy models too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.shared import SHARED, needs_shared

import bittrue._core as _core
from bittrue.conformance.runner import cases_of, count_mismatches, load_case, run_conformance
from bittrue.errors import DataError, UnsupportedError
from bittrue.ops import evaluate_graph

LAYERS = (SHARED or Path()) / "oracle/bm1684/layers"


@needs_shared
@pytest.mark.parametrize("path", [p for p in _core.known_paths() if _core.path_available(p)])
def test_core(path: str) -> None:
    results = list(run_conformance(LAYERS, "bm1684", path=path))
    assert len(results) == 25
    assert sum(r.elements for r in results) >= 1_000_000
    assert {r.layer: r.mismatches for r in results if r.mismatches} == {}


@needs_shared
def test_numpy_models() -> None:
    bad = 0
    for folder in sorted(p for p in LAYERS.iterdir() if p.is_dir()):
        for file in sorted(folder.glob("*.npz"))[::3]:
            arrays = load_case(file)
            graph, feeds, output = cases_of("bm1684")[folder.name](arrays)
            bad += count_mismatches(arrays["y"], evaluate_graph(graph, feeds)[output])
    assert bad == 0


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        list(run_conformance(tmp_path / "missing", "bm1684"))
    assert list(run_conformance(tmp_path, "bm1684")) == []
    (tmp_path / "relu_int8").mkdir()
    (tmp_path / "relu_int8/case000.npz").write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"case000\.npz"):
        list(run_conformance(tmp_path, "bm1684"))
    np.savez(tmp_path / "relu_int8/case000.npz", x=np.zeros(3, np.int8))
    with pytest.raises(DataError, match="'y'"):
        list(run_conformance(tmp_path, "bm1684"))
    (tmp_path / "relu_int8").rename(tmp_path / "unknown_layer")
    with pytest.raises(UnsupportedError, match="unknown_layer"):
        list(run_conformance(tmp_path, "bm1684"))
    with pytest.raises(UnsupportedError, match="no conformance cases"):
        list(run_conformance(tmp_path, "bm1684x"))


def test_one_wrong_element_is_counted(tmp_path: Path) -> None:
    x = np.array([[-3, 4, 0]], np.int8)
    (tmp_path / "relu_int8").mkdir()
    np.savez(tmp_path / "relu_int8/case000.npz", x=x, y=np.array([[0, 5, 0]], np.int8))
    (result,) = run_conformance(tmp_path, "bm1684")
    assert (result.cases, result.elements, result.mismatches, result.first_bad) == (1, 3, 1, "case000.npz")
