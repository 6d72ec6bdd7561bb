"""Paired results: statistics, flipped samples and where they separate, limits, several targets in one result."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue import api
from bittrue.audit.audit import LISTED_FLIPS, AuditResult, run_audit
from bittrue.audit.statistics import drop_interval, mcnemar, wilson
from bittrue.audit.task import judge_task
from bittrue.calibrate.data import Record
from bittrue.errors import DataError
from bittrue.report.audit_text import render_audit
from bittrue.report.result import json_schema
from tests.audit.nets import DIGITS, run_cli

# Section 13 of the specification: n = 1000, lost 36, gained 0.


def test_check_vectors() -> None:
    assert mcnemar(36, 0) == pytest.approx(2.9e-11, rel=0.01)
    low, high = wilson(858, 1000)
    assert round(low, 4) == 0.8350 and round(high, 4) == 0.8783


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int) -> None:
    n = lost + gained
    outcomes = [Fraction(math.comb(n, k), 2**n) for k in range(n + 1)]
    two_sided = sum(p for p in outcomes if p <= outcomes[lost])
    assert mcnemar(lost, gained) == pytest.approx(float(two_sided)) == mcnemar(gained, lost)


@given(st.integers(1, 2000), st.data())
def test_wilson_solves_its_equation(n: int, data: st.DataObject) -> None:
    """The ends are the rates p with (right/n - p)^2 = z^2 p (1 - p) / n."""
    right, z = data.draw(st.integers(0, n)), 1.959964
    for p in wilson(right, n):
        assert (right / n - p) ** 2 == pytest.approx(z * z * p * (1 - p) / n, abs=1e-12)


def test_the_drop_interval_covers() -> None:
    """Coverage by simulation, and the formula by hand: n = 100, lost 10, gained 4."""
    low, high = drop_interval(10, 4, 100)
    middle, spread = 6 / 102, 1.959964 * math.sqrt(15 - 36 / 102) / 102
    assert (low, high) == (pytest.approx(middle - spread), pytest.approx(middle + spread))
    assert drop_interval(4, 10, 100) == (pytest.approx(-high), pytest.approx(-low))
    assert drop_interval(0, 0, 0) == (-1.0, 1.0)
    rng = np.random.default_rng(0)
    lost, gained, _ = rng.multinomial(200, [0.08, 0.03, 0.89], 4000).T
    inside = [
        a <= 0.05 <= b for a, b in (drop_interval(int(x), int(y), 200) for x, y in zip(lost, gained, strict=True))
    ]
    assert 0.93 < np.mean(inside) < 0.97


def runs(shift: dict[int, str]) -> tuple[Any, Any]:
    """Float and quantized runs of batches of two; `shift`: number of a sample -> letters of its bad layers."""

    def run(feeds: Mapping[str, np.ndarray], wrong: dict[int, str]) -> dict[str, np.ndarray]:
        result = {n: np.ones((2, 5), np.float32) for n in ("a", "b", "c")} | {"y": np.zeros((2, 3), np.float32)}
        for i, number in enumerate(feeds["x"].ravel()):
            result["y"][i] = [2.0, 1.0, 0.0]
            if int(number) in wrong:
                for layer in wrong[int(number)]:
                    result[layer][i] = 2.0
                result["y"][i] = [1.0, 1.5, 0.0]
        return result

    return lambda feeds: run(feeds, {}), lambda feeds: run(feeds, shift)


def batches(count: int, label: int | None = 0) -> list[Record]:
    numbers = np.arange(2 * count, dtype=np.float32).reshape(count, 2, 1)
    return [Record(f"r{i}", {"x": x}, None if label is None else np.full(2, label)) for i, x in enumerate(numbers)]


FACTS = {n: ("Conv2d", "measured") for n in ("a", "b", "c")}


def audited(shift: dict[int, str], count: int = 4, label: int | None = 0, limit: float = 10.0) -> AuditResult:
    return run_audit(*runs(shift), batches(count, label), "y", "y", FACTS, limit)


def test_flipped_samples_name_their_first_divergent_layer() -> None:
    result = audited({3: "bc", 4: "c"})
    assert result.flips == 2 and result.lost == 2 and result.gained == 0 and result.agreement == 0.75
    first, second = result.flipped
    assert (first["sample"], first["key"], first["label"]) == (3, "r1", 0)
    assert (first["float"], first["quantized"], first["margin"], first["quantized_margin"]) == (0, 1, 1.0, 0.5)
    # Planted layers have values 2 where float has 1: 0 dB; layer a of this sample is exact.
    assert first["divergence"] == first["lowest"] == {"layer": "b", "op": "Conv2d", "sqnr_db": 0.0}
    assert second["divergence"]["layer"] == "c"
    assert audited({3: "bc"}, limit=-1.0).flipped[0]["divergence"] is None
    assert any("separates at b" in line for line in render_audit(result.as_dict()))


def test_the_list_of_flips_ends_but_the_count_does_not() -> None:
    count = LISTED_FLIPS + 50
    result = audited({2 * i: "a" for i in range(count)}, count)
    assert result.flips == count and len(result.flipped) == LISTED_FLIPS
    text = "\n".join(render_audit(result.as_dict(), verbose=True))
    assert "... 50 more flipped" in text


@pytest.mark.parametrize(
    ("flips", "limit", "verdict"),
    [(8, 0.01, "missed"), (8, 0.5, "within"), (2, 0.01, "not significant"), (0, 0.0, "within")],
)
def test_limits_on_the_drop(flips: int, limit: float, verdict: str) -> None:
    task = judge_task(audited({i: "a" for i in range(flips)}, 20), limit, 0.05)
    assert task.top1_drop == flips / 40 and task.verdict == verdict and task.missed == (verdict == "missed")
    assert ("not significant" in task.sentence) == (verdict == "not significant")


def test_a_limit_needs_labels() -> None:
    with pytest.raises(DataError, match="label"):
        judge_task(audited({}, label=None), 0.01, 0.05)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thresholds of the digits network, and beside them far too small ones."""
    folder = tmp_path_factory.mktemp("tables")
    graph = api.load_float(DIGITS / "digits.onnx")
    good = api.calibrate(graph, api.records(graph, DIGITS / "calibration.npz", limit=30), method="max")
    good.write(folder / "good.json")
    for row in good.tensors.values():
        row.threshold *= 0.02
    good.write(folder / "bad.json")
    return folder


def arguments(table: Path, name: str, targets: str = "bm1684") -> tuple[object, ...]:
    data = DIGITS / "test.npz"
    return (
        "audit", DIGITS / "digits.onnx", "--target", targets, "--data", data, "--limit", 60, "--table", table / name,
    )  # fmt: skip


def test_a_significant_drop_fails(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "r.json"
    limit = ("--top1-drop-max", "0.01", "--json", result)
    code, out, err = run_cli(capsys, *arguments(table, "bad.json"), *limit)
    assert code == 1 and "above the limit, significant" in out and "significant" in err
    stored = json.loads(result.read_text())
    assert stored["audit"]["task"]["verdict"] == "missed" and not stored["summary"]["passed"]
    assert stored["audit"]["flipped"][0]["divergence"]["layer"]
    code, out, _ = run_cli(capsys, *arguments(table, "good.json"), *limit)
    assert code == 0 and "within the limit" in out


def test_a_limit_without_labels_is_an_error(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "unlabelled.npz"
    with np.load(DIGITS / "test.npz") as archive:
        np.savez(data, **{k: v[:4] for k, v in archive.items() if not k.startswith("label")})
    code, _, err = run_cli(
        capsys,
        *arguments(table, "good.json"),
        "--data",
        data,
        "--top1-drop-max",
        "0.01",
        "--json",
        tmp_path / "no.json",
    )
    assert code == 4 and "label" in err and not (tmp_path / "no.json").exists()


def test_several_targets_stand_in_one_result(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, page = tmp_path / "r.json", tmp_path / "r.html"
    files: tuple[object, ...] = ("--json", result, "--html", page, "--overflow")
    files += ("--samples-csv", tmp_path / "s.csv", "--channels-csv", tmp_path / "c.csv")
    code, out, _ = run_cli(capsys, *arguments(table, "good.json", "bm1684,bm1684x"), *files)
    assert code == 0
    stored = json.loads(result.read_text())
    jsonschema.validate(stored, json.loads(json_schema()))
    entries = stored["audit"]["targets"]
    assert [e["target"] for e in entries] == ["bm1684", "bm1684x"]
    assert all(e["samples"] == 60 and e["layers"] and e["overflow"]["accumulators"] for e in entries)
    assert entries[0]["layers"] != entries[1]["layers"]
    table_line = next(line for line in out.splitlines() if line.split() == ["bm1684", "bm1684x"])
    rows = out[out.index(table_line) :].splitlines()
    assert any(f"{entries[1]['quantized']['top1']:.4f}" in r for r in rows if "quantized top-1" in r)
    html = page.read_text()
    assert "Targets side by side" in html and "Overflow and headroom on bm1684x" in html and "<script" not in html
    with (tmp_path / "s.csv").open() as f:
        samples = list(csv.DictReader(f))
    assert [int(s["sample"]) for s in samples] == [*range(60), *range(60)]
    for entry in entries:
        own = [s for s in samples if s["target"] == entry["target"]]
        assert sum(s["float"] != s["quantized"] for s in own) == entry["flips"]
        assert sum(s["quantized"] == s["label"] for s in own) / 60 == entry["quantized"]["top1"]
    with (tmp_path / "c.csv").open() as f:
        channels = list(csv.DictReader(f))
    assert len(channels) == sum(a["channels"] for e in entries for a in e["overflow"]["accumulators"])
    code, again, _ = run_cli(capsys, "report", result)
    assert code == 0 and table_line in again


def test_a_float_model_needs_target_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    for given_, missing in ((("--data", DIGITS / "test.npz"), "--target"), (("--target", "bm1684"), "--data")):
        code, _, err = run_cli(capsys, "audit", DIGITS / "digits.onnx", *given_)
        assert code == 2 and missing in err


def test_a_table_of_another_model_is_refused(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((table / "good.json").read_text()) | {"model_sha256": "0" * 64}
    (tmp_path / "other.json").write_text(json.dumps(content))
    code, _, err = run_cli(capsys, *arguments(tmp_path, "other.json"))
    assert code == 4 and "another model" in err


def test_other_precisions(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--target", "bm1684", "--precision", "fp32", "--data", DIGITS / "test.npz", "--limit", 5, "--overflow")
    code, out, _ = run_cli(capsys, "audit", DIGITS / "digits.onnx", *options)
    assert code == 0 and "agreement of top-1: 1.0000" in out and "0 of 0 limited accumulators" in out
