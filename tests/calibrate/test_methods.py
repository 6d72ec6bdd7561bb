"""Threshold methods against published vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bittrue._core as _core
from bittrue.api import load_float
from bittrue.calibrate import calibrate
from bittrue.calibrate.data import Preprocess, Record, Records
from bittrue.calibrate.methods import Parameters, find_method
from bittrue.calibrate.methods.divergence import divergences, kl_published
from bittrue.calibrate.methods.mse import octav
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.calibrate.table import CalibrationTable, Threshold
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph, Node, TensorType

V10 = np.array([-4, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 9])


@pytest.fixture(scope="module")
def w() -> np.ndarray:
    k = np.arange(4096, dtype=np.uint64)
    y = (k * np.uint64(2654435761) % np.uint64(2**32)).astype(np.float64) / 2**32 - 0.5
    return 16 * y * y * y


@pytest.fixture(scope="module")
def ha() -> np.ndarray:
    h = np.array([max(0, 1000 - j) ** 3 // 1000 for j in range(2048)])
    h[2047] = 1
    return h


def statistics(x: np.ndarray, top: int = 0) -> TensorStatistics:
    s = TensorStatistics("t")
    s.look(x.astype(np.float32), "key")
    if top:
        s.keep_top(x.astype(np.float32), top)
    return s


def test_published_kl(ha: np.ndarray) -> None:
    assert kl_published(ha, 1 / 2047, 128) == pytest.approx(0.50024426, abs=5e-9)
    want = [0.98448, 0.540853, 0.249809, 0.0940618, 0.0258703, 0.00394937, 0.000135763, 2.06966e-05, 2.62256e-05]
    np.testing.assert_allclose(_core.published_divergences(ha, 128)[: len(want)], want, rtol=3e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(0, 3))
def test_published_divergences_are_those_of_the_steps_in_binary32(multiple: int, seed: int, sparse: float) -> None:
    """Against the same steps with numpy scalars."""
    random, f32 = np.random.default_rng(seed), np.float32
    counts = np.maximum(0, random.integers(-10 * int(sparse * 10) - 1, 1000, 16 * multiple))
    counts[-1] += 1
    total = f32(counts.sum())
    got = _core.published_divergences(counts, 16)
    for m, value in enumerate(got):
        kept = 16 * (m + 1)
        bins = counts.astype(f32)
        inside = last = f32(0)
        for b in bins[:kept]:
            inside = f32(inside + b)
        last = bins[kept - 1]
        for b in bins[kept:]:
            last = f32(last + b)
        p = np.append(bins[: kept - 1], last) / total
        want = f32(0)
        for j in range(kept):
            group = bins[j // (m + 1) * (m + 1) : (j // (m + 1) + 1) * (m + 1)]
            mass = f32(0)
            for b in group:
                mass = f32(mass + b)
            filled = f32(max(1, np.count_nonzero(group)))
            q = mass / filled / inside if inside and bins[j] else f32(0)
            a, b = np.float64(p[j]), np.float64(q)
            want = f32(np.float64(want) + a * (np.log10(a + 1e-30) - np.log10(b + 1e-30)))
        assert np.isinf(value) if inside == 0 else value == pytest.approx(want, rel=1e-6, abs=1e-7)


def test_all_candidates_kl(ha: np.ndarray) -> None:
    values = divergences(ha, 128, 1, 2047)
    assert 128 + np.argmin(values) == 973
    assert values[973 - 128] == pytest.approx(4.34543268391e-05, rel=1e-10)


@pytest.mark.parametrize(("i", "want"), [(4, 0.127892), (8, 0.043905), (9, 0.029645), (12, 0.039434), (16, 0.082489)])
def test_worked_divergences(i: int, want: float) -> None:
    assert divergences(D16, 4, 1, 16)[i - 4] == pytest.approx(want, abs=5e-7)


def test_octav(w: np.ndarray) -> None:
    assert octav(w) == pytest.approx(1.9892453201072215, rel=1e-12)
    assert octav(w, 4) == pytest.approx(1.8356401761013077, rel=1e-12)
    assert octav(np.maximum(w, 0)) == pytest.approx(1.9936101193177023, rel=1e-12)
    assert octav(np.maximum(w, 0), published=True) == pytest.approx(1.9914842985543595, rel=1e-12)
    assert octav(V10, 2) == pytest.approx(7.714285714, abs=1e-9)
    assert octav(V10, 2, True) == pytest.approx(7.578947368, abs=1e-9)


def test_percentile(w: np.ndarray) -> None:
    for p, want in ((0.9999, 1.9991247231988236), (0.99, 1.9415136833857898)):
        got = find_method("percentile").threshold(statistics(w, 4096), Parameters(percentile=p))
        assert got == pytest.approx(want, rel=1e-6)  # |x| is kept in binary32
    values = np.arange(1, 11.0)
    assert find_method("percentile").threshold(statistics(values, 10), Parameters(percentile=0.9)) == pytest.approx(9.1)


def test_histograms(w: np.ndarray) -> None:
    native, published = statistics(w), statistics(w)
    native.count(w.astype(np.float32), 2048)
    published.count_growing(w.astype(np.float32), 2.0, 2048)
    assert native.hist[:6].tolist() == [322, 84, 59, 46, 40, 34]
    assert published.hist[:6].tolist() == [257, 112, 69, 51, 43, 37]


def test_growing_histogram() -> None:
    s = TensorStatistics("t")
    for largest in (1.0, 1.5):
        s.count_growing(np.array([largest], np.float32), largest, 2048)
    assert (s.hist.size, s.width) == (3073, pytest.approx(0.000488440195719401, rel=1e-12))


def identity_graph() -> Graph:
    graph = Graph("g", inputs=["x"], outputs=["y"])
    graph.types |= {"x": TensorType("float32", (1, 4)), "y": TensorType("float32", (1, 4))}
    graph.nodes = [Node("Relu", "relu", ["x"], ["y"])]
    return graph


def records(*rows: list[float]) -> list[Record]:
    return [Record(f"r{i}", {"x": np.array([row], np.float32)}) for i, row in enumerate(rows)]


def test_common_rules() -> None:
    table = calibrate(identity_graph(), records([-1, -2, -3, -4]), method="max")
    assert table.tensors["x"] == Threshold(4, -4, -1, "max") and table.tensors["y"].threshold == 1e-5
    constant = calibrate(identity_graph(), records([3, 3, 3, 3]), method="kl")
    assert constant.tensors["y"].threshold == 3
    with pytest.raises(DataError, match=r"tensor x: NaN at index \(0, 2\), record 1 \(key r1\)"):
        calibrate(identity_graph(), records([1, 2, 3, 4], [1, 2, float("nan"), 4]), method="max")
    with pytest.raises(DataError, match="no calibration samples"):
        calibrate(identity_graph(), [], method="max")
    with pytest.raises(UsageError, match="magic"):
        calibrate(identity_graph(), records([1, 2, 3, 4]), method="magic")


def test_all_zero_records() -> None:
    rows = [[0.0] * 4] * 3 + [[-5.0, 1.0, 2.0, 5.0]]
    native, published = (
        calibrate(identity_graph(), records(*rows), method="mse", parameters=Parameters(variant=v)).tensors["x"]
        for v in ("native", "tpumlir")
    )
    alone = calibrate(identity_graph(), records(rows[-1]), method="mse", parameters=Parameters(variant="native"))
    assert native.threshold == alone.tensors["x"].threshold
    assert published.threshold == pytest.approx((3 + octav(np.float32(rows[-1]), published=True)) / 4)
    with pytest.raises(UsageError, match="no variant 'magic' of mse"):
        calibrate(identity_graph(), records(rows[-1]), method="mse", parameters=Parameters(variant="magic"))


@pytest.mark.parametrize("method", ["max", "mse", "percentile9999"])
def test_order_does_not_matter(method: str) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.normal(0, 1, 4).tolist() for _ in range(20)]
    forward = calibrate(identity_graph(), records(*rows), method=method).tensors
    backward = calibrate(identity_graph(), records(*rows[::-1]), method=method).tensors
    assert {n: t.threshold for n, t in backward.items()} == {n: t.threshold for n, t in forward.items()}


def test_tables(tmp_path: Path) -> None:
    table = CalibrationTable({"a b": Threshold(1.5, -1.25, 1.5), "c": Threshold(0.1, 0.0, 0.1)}, "KL", samples=7)
    for name in ("t.json", "t.table"):
        table.write(tmp_path / name)
        back = CalibrationTable.read(tmp_path / name)
        assert {n: (t.threshold, t.min, t.max) for n, t in back.tensors.items()} == {
            "a b": (1.5, -1.25, 1.5),
            "c": (0.1, 0.0, 0.1),
        }
        assert back.samples == 7
    for text, message in (
        ("a 1 0\n", "expected 'name threshold min max'"),
        ("a 1 0 1\na 2 0 2\n", "stands twice"),
        ("a inf 0 1\n", "expected"),
        ("# nothing\n", "no thresholds"),
        ("a 0 0 0\n", "threshold 0"),
        ("{}", "not a calibration table"),
        ('{"schema": "bittrue-cali/1", "tensors": {}}', "no thresholds"),
        ('{"schema": "bittrue-cali/1", "tensors": {"a": {}, "a": {}}}', "'a' stands twice"),
        ('{"schema": "other"}', "schema 'other'"),
    ):
        (tmp_path / "bad").write_text(text)
        with pytest.raises(DataError, match=message):
            CalibrationTable.read(tmp_path / "bad")


def test_the_text_format_refuses_thresholds_it_would_round_to_zero(tmp_path: Path) -> None:
    table = CalibrationTable({"tiny": Threshold(4e-8, 0.0, 4e-8)})
    with pytest.raises(DataError, match="'tiny' to 0"):
        table.write(tmp_path / "t.table")
    assert not (tmp_path / "t.table").exists()
    table.write(tmp_path / "t.json")
    assert CalibrationTable.read(tmp_path / "t.json").tensors["tiny"].threshold == 4e-8


def test_arrays_that_are_no_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array([["a", "b", "c", "d"]]))
    with pytest.raises(DataError, match=r"text\.npy.*not numbers"):
        list(Records(identity_graph(), tmp_path / "text.npy", Preprocess()))
    np.savez(tmp_path / "labels.npz", x=np.zeros((2, 4), np.float32), label=np.array([3, 1]))
    labels = [r.labels for r in Records(identity_graph(), tmp_path / "labels.npz", Preprocess())]
    assert [int(v[0]) for v in labels if v is not None] == [3, 1]
    np.savez(tmp_path / "short.npz", x=np.zeros((2, 4), np.float32), label=np.array([3]))
    with pytest.raises(DataError, match="1 labels for 2 samples"):
        list(Records(identity_graph(), tmp_path / "short.npz", Preprocess()))


def test_pictures(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, :4] = (200, 100, 50)
    Image.fromarray(pixels).save(tmp_path / "p.png")
    graph = Graph("g", inputs=["x"], types={"x": TensorType("float32", (1, 3, 4, 4))})

    def load(**options: object) -> np.ndarray:
        (record,) = Records(graph, tmp_path / "p.png", Preprocess.model_validate(options))
        return record.feeds["x"]

    assert load(mode="crop")[0, :, 0, 0].tolist() == [200, 100, 50]
    assert load(mode="crop", channels="BGR")[0, :, 0, 0].tolist() == [50, 100, 200]
    letterbox = load(mode="letterbox", mean=[100.0], scale=[0.5])
    assert letterbox[0, 0, 0, 0] == 7.0 and letterbox[0, 0, 1, 0] == 50.0
    with pytest.raises(DataError, match="mean has 2 entries for 3 channels"):
        load(mean=[1.0, 2.0])
    graph.types["x"] = TensorType("float32", (2, 3, 4, 4))
    with pytest.raises(DataError, match="a batch of 2"):
        load()
    graph.types["x"] = TensorType("float32", (1, 3, 4, 4))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png"):
        list(Records(graph, tmp_path / "bad.png", Preprocess()))
    with pytest.raises(DataError, match="no such file"):
        Records(graph, tmp_path / "missing", Preprocess())


def test_the_example_calibrates_with_every_method() -> None:
    folder = Path(__file__).parents[2] / "reference_data/digits"
    graph = load_float(folder / "digits.onnx")
    data = Records(graph, folder / "calibration.npz", Preprocess(), 10)
    top = calibrate(graph, data, method="max").tensors
    for method in ("kl", "mse", "percentile9999"):
        for name, t in calibrate(graph, data, method=method).tensors.items():
            assert 0 < t.threshold <= top[name].threshold


D16 = np.array([40, 30, 20, 12, 8, 6, 4, 3, 2, 2, 1, 1, 0, 0, 0, 1])


def test_symmetric_divergences(ha: np.ndarray) -> None:
    def kept(hist: np.ndarray, levels: int, step: int, last: int, kind: str) -> int:
        return levels + step * int(np.argmin(divergences(hist, levels, step, last, kind)))

    assert (kept(D16, 4, 4, 16, "symkl"), kept(D16, 4, 4, 16, "jsd")) == (12, 8)
    assert kept(D16, 4, 1, 15, "symkl") == kept(D16, 4, 1, 15, "jsd") == 9
    assert kept(ha, 128, 128, 2048, "symkl") == kept(ha, 128, 128, 2048, "jsd") == 1024
    assert kept(ha, 128, 1, 2047, "symkl") == 972
    assert kept(ha, 128, 1, 2047, "jsd") == 970


def of_record(name: str, x: np.ndarray, **parameters: object) -> float:
    record = find_method(name).record
    assert record is not None
    return record(x, Parameters(**parameters))  # type: ignore[arg-type]


E = np.array([0.1] * 500 + [-0.1] * 499 + [9.0])


@pytest.mark.parametrize(
    ("name", "parameters", "x", "want"),
    [
        ("admm", {"levels": 8}, V10, 8.847222222),
        ("admm", {"levels": 8}, np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0]), 1.042134831),
        ("admm", {}, np.zeros(4), 0.0),
        ("aciq", {}, E, 1.077577023),
        ("aciq_laplace", {"levels": 8}, E, 0.547527390),
        ("aciq_gauss", {}, E, 5.189815486),
        ("aciq_gauss", {"variant": "native"}, E, 1.183128208),
        ("mse_grid", {"levels": 8}, V10, 8.82),
    ],
)
def test_methods_of_single_records(name: str, parameters: dict[str, object], x: np.ndarray, want: float) -> None:
    assert of_record(name, x, **parameters) == pytest.approx(want, abs=2e-9)


def test_methods_of_single_records_on_w(w: np.ndarray) -> None:
    assert of_record("admm", w) == pytest.approx(1.9979180022890752, rel=1e-12)
    assert of_record("admm", w, levels=8) == pytest.approx(1.8215150796316533, rel=1e-12)
    assert of_record("aciq_gauss", w, levels=8, variant="native") == pytest.approx(1.9354110146539925, rel=1e-8)
    assert of_record("aciq_gauss", w, levels=8) == pytest.approx(1.3550778609694865, rel=1e-8)
    assert of_record("aciq_gauss", w, variant="native") == pytest.approx(2.967648, rel=1e-5)
    assert of_record("aciq", w) == pytest.approx(4.950754, rel=1e-6)
    assert of_record("mse_grid", w) == pytest.approx(1.98) and of_record("mse_grid", w, levels=8) == pytest.approx(1.76)
    with pytest.raises(UsageError, match="levels"):
        of_record("aciq", w, levels=64)


@pytest.mark.parametrize("method", ["symkl", "jsd", "admm", "aciq", "aciq_laplace", "aciq_gauss", "mse_grid"])
def test_every_method_gives_a_table(method: str) -> None:
    folder = Path(__file__).resolve().parents[2] / "reference_data/digits"
    graph = load_float(folder / "digits.onnx")
    data = Records(graph, folder / "calibration.npz", Preprocess(), 20)
    table, largest = calibrate(graph, data, method=method), calibrate(graph, data, method="max")
    assert table.method == method and set(table.tensors) == set(largest.tensors)
    assert all(0 < t.threshold <= largest.tensors[n].threshold for n, t in table.tensors.items())
    assert any(t.threshold < largest.tensors[n].threshold for n, t in table.tensors.items())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5000), st.integers(1, 300), st.floats(1e-3, 2), st.integers(0, 2**32 - 1))
def test_histogram_and_range_of_the_core(size: int, bins: int, width: float, seed: int) -> None:
    random, f32 = np.random.default_rng(seed), np.float32
    x = random.standard_normal(size).astype(f32) * (random.random(size) < 0.8)
    counts = random.integers(0, 9, bins)
    want = counts.copy()
    for v in np.abs(x[x != 0]):
        want[min(int(np.floor(f32(v / f32(width)) + f32(0.5))), bins - 1)] += 1
    _core.add_rounded_histogram(x, width, counts)
    np.testing.assert_array_equal(counts, want)
    broken, low, high = _core.range_of(x)
    assert broken == -1 and (not size or (low, high) == (x.min(), x.max()))
    if size:
        where = int(random.integers(0, size))
        x[where:] = random.choice([np.nan, np.inf, -np.inf])
        assert _core.range_of(x)[0] == where
