"""Statistics in files: the same thresholds without data, and parts that add up to the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.commands import command

from bittrue.calibrate import calibrate, collect, thresholds
from bittrue.calibrate.data import Record
from bittrue.calibrate.distribution import (
    check_storable,
    merge_distributions,
    read_distribution,
    storable_methods,
    write_distribution,
)
from bittrue.calibrate.methods import METHODS, Parameters
from bittrue.calibrate.statistics import DYADIC_BINS, TensorStatistics
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph, Node, TensorType

FLAT = TensorType("float32", (1, 400))


def relu_graph(op: str = "Relu", name: str = "act") -> Graph:
    return Graph("g", [Node(op, name, ["x"], ["y"])], ["x"], ["y"], {}, {"x": FLAT, "y": FLAT})


def made(count: int, seed: int = 0, growth: float = 1.0) -> list[Record]:
    random = np.random.default_rng(seed)
    scales = growth ** np.arange(count)
    return [
        Record(f"r{seed}.{i}", {"x": (random.standard_normal((1, 400)) * s).astype(np.float32)})
        for i, s in enumerate(scales)
    ]


@pytest.mark.parametrize(
    "parameters", [Parameters(), Parameters(variant="nvidia", bins=512), Parameters(one_pass=True)]
)
def test_every_method_from_a_file_is_as_from_data(tmp_path: Path, parameters: Parameters) -> None:
    graph, records = relu_graph(), made(5, growth=1.4)
    methods = storable_methods(parameters.variant)
    statistics = collect(graph, records, methods, parameters)
    write_distribution(tmp_path / "d.npz", statistics, graph)
    read = read_distribution(tmp_path / "d.npz", graph)
    assert {"kl", "max", "percentile9999", "aciq"} <= set(read.methods)
    for method in methods:
        want = calibrate(graph, records, method=method.name, parameters=parameters).tensors
        assert thresholds(read, method.name).tensors == want


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.integers(1, 5), st.integers(0, 99))
def test_parts_of_one_pass_add_up(
    tmp_path_factory: pytest.TempPathFactory, exponents: list[float], cut: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    graph, parameters = relu_graph(), Parameters(one_pass=True, percentile=0.99)
    random = np.random.default_rng(seed)
    records = [
        Record(str(i), {"x": (random.standard_normal((1, 400)) * 2.0**e).astype(np.float32)})
        for i, e in enumerate(exponents)
    ]
    cut = min(cut, len(records) - 1)
    methods = storable_methods(parameters.variant)
    whole = collect(graph, records, methods, parameters)
    reverse = collect(graph, records[::-1], methods, parameters)
    paths = [folder / "a.npz", folder / "b.npz"]
    for path, part in zip(paths, (records[:cut], records[cut:]), strict=True):
        write_distribution(path, collect(graph, part, methods, parameters), graph)
    merged = merge_distributions(paths, [read_distribution(p, graph) for p in paths])
    for name, s in whole.tensors.items():
        np.testing.assert_array_equal(merged.tensors[name].hist, s.hist)
        np.testing.assert_array_equal(reverse.tensors[name].hist, s.hist)
    for method in ("kl", "symkl", "max", "mse", "aciq"):
        assert thresholds(merged, method).tensors == thresholds(whole, method).tensors
        assert thresholds(reverse, method).tensors == thresholds(whole, method).tensors


def test_percentile_of_parts_is_exact_or_refused() -> None:
    graph, parameters = relu_graph(), Parameters(percentile=0.99)
    small, large = made(4, 1), made(4, 2)
    methods = storable_methods(parameters.variant)
    whole = collect(graph, [*small, *large], methods, parameters)
    parts = [collect(graph, r, methods, parameters) for r in (small, large)]
    for s in (p.tensors[n] for p in parts for n in p.tensors):
        s.hist = np.zeros(0, np.int64)  # of growing histograms; only the largest values matter here
    paths = [Path("a"), Path("b")]
    merged = merge_distributions(paths, parts)
    assert thresholds(merged, "percentile9999").tensors == thresholds(whole, "percentile9999").tensors
    outlier = [Record("big", {"x": np.full((1, 400), 50, np.float32)})]
    parts = [collect(graph, r, methods, parameters) for r in (small, outlier)]
    for s in (p.tensors[n] for p in parts for n in p.tensors):
        s.hist = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="stored extremes do not reach down to this percentile"):
        thresholds(merge_distributions(paths, parts), "percentile")


def test_one_pass_bins_are_those_of_direct_counting() -> None:
    s = TensorStatistics("t")
    values = np.asarray([0.75, 0.1, 1.0, 3.99, 0.0, -7.0], np.float32)
    for v in values:
        s.count_dyadic(np.asarray([v]), float(abs(v)))
    assert s.width == 8 / DYADIC_BINS
    want = np.bincount((np.abs(values[values != 0]) / s.width).astype(int), minlength=DYADIC_BINS)
    np.testing.assert_array_equal(s.hist, want)


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    graph, records = relu_graph(), made(2)
    path = tmp_path / "d.npz"
    write_distribution(path, collect(graph, records, [METHODS["max"]], Parameters()), graph)
    with pytest.raises(DataError, match=r"d.npz: statistics of another network: layer 'other' differs from its 'act'"):
        read_distribution(path, relu_graph("Abs", "other"))
    with pytest.raises(UsageError, match="statistics for max are not enough for kl"):
        thresholds(read_distribution(path, graph), "kl")
    for method in ("admm", "MSE_GRID"):
        with pytest.raises(UsageError, match="needs the values themselves"):
            check_storable(method)
    statistics = read_distribution(path, graph)
    with pytest.raises(DataError, match=r"record 'r0.0' is in d.npz already"):
        merge_distributions([Path("d.npz")] * 2, [statistics] * 2)
    other = collect(graph, made(2, 7), [METHODS["max"]], Parameters(bins=512))
    with pytest.raises(DataError, match="collected with other parameters"):
        merge_distributions([Path("d.npz"), Path("e.npz")], [statistics, other])
    grown = [collect(graph, made(2, k, 3.0), [METHODS["kl"]], Parameters()) for k in (1, 2)]
    with pytest.raises(DataError, match="cannot be added; collect with the one-pass histogram"):
        merge_distributions([Path("a"), Path("b")], grown)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"d.npz: not a file of statistics"):
        read_distribution(path, graph)


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "reference_data" / "digits"
    run = command(monkeypatch, capsys, "calibrate", str(folder / "digits.onnx"))
    data = ("--data", folder / "calibration.npz", "--iterations", "4")
    dist, first, second = (tmp_path / n for n in ("d.npz", "kl.json", "again.json"))
    assert run(*data, "--dump-dist", dist, "-o", first)[0] == 0
    assert run("--load-dist", dist, "-o", second)[0] == 0
    assert first.read_text() == second.read_text()
    code, text = run("--load-dist", dist, "--method", "admm", "-o", tmp_path / "x.json")
    assert code == 2 and "admm needs the values themselves" in text and not (tmp_path / "x.json").exists()
    for option in (data, ("--bins", "512"), ("--variant", "nvidia"), ("--one-pass",), ("--dump-dist", "other")):
        code, text = run("--load-dist", dist, *option, "-o", tmp_path / "x.json")
        assert code == 2 and f"{option[0]} does not go with --load-dist" in text
    # the file keeps the extremes for 0.9999: higher percentiles follow from them, lower ones do not
    higher = ("--load-dist", dist, "--method", "percentile", "--percentile", "0.99999", "-o", second)
    assert run(*higher)[0] == 0
    assert run(*data, *higher[2:-1], first)[0] == 0 and first.read_text() == second.read_text()
    code, text = run(*higher[:-3], "0.5", "-o", tmp_path / "x.json")
    assert code == 4 and "stored extremes do not reach down" in text
    code, text = run("--load-dist", dist, "--equalize", "exact", "-o", tmp_path / "x.json")
    assert code == 4 and "d.npz: statistics of" in text
