"""Sensitivity and tuning: a planted bad layer is named by both figures and is the first that tuning chooses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bittrue import api
from bittrue.audit import sensitivity as sensitivity_module
from bittrue.audit.isolated import IsolatedLayer, downstream
from bittrue.audit.layers import layer_list, read_layer_list
from bittrue.audit.sensitivity import Sensitivity
from bittrue.audit.tune import Budget, check_upgrade, pareto
from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.runtime.session import Session
from bittrue.targets.loader import load_target
from tests.audit.nets import DIGITS, pictures, run_cli, table_of, three_convolutions

LAYERS = ["conv0", "conv1", "conv2", "pool"]


def network(
    folder: Path, target: str, *, outlier: float = 0.0, bad: str = "", labels: bool = False
) -> api.MixedNetwork:
    """The three convolutions; `bad`: a tensor whose threshold is far too large."""
    graph = api.load_float(three_convolutions(folder, outlier))
    data = pictures(6, labels=labels)
    table = table_of(graph, data)
    if bad:
        table.tensors[bad].threshold *= 64
    return api.MixedNetwork(graph, table.tensors, target, data)


def of(found: Sensitivity, name: str) -> Any:
    return next(s for s in found.layers if s.layer.name == name)


@pytest.mark.parametrize("metric", ["sqnr", "top1"])
def test_a_weight_outlier_is_found_and_mended(tmp_path: Path, metric: str) -> None:
    net = network(tmp_path, "bm1684", outlier=200.0, labels=True)
    steps: list[str] = []
    tuning = api.tune(net, Budget("layers", 2), metric=metric, progress=steps.append)
    found = tuning.ranking
    assert (
        sorted(s.layer.name for s in found.layers) == LAYERS and len(steps) == 2 * len(LAYERS) + len(tuning.steps) - 1
    )
    assert found.layers[0].layer.name == "conv1"
    assert max(found.layers, key=lambda s: s.gain_db or 0.0).layer.name == "conv1"
    assert of(found, "conv1").only.sqnr_db < 15 < 25 < of(found, "conv0").only.sqnr_db
    assert of(found, "conv1").gain_db > 10
    if metric == "sqnr":
        assert tuning.steps[1].added == "conv1" and tuning.steps[1].kept
        assert tuning.steps[1].score.sqnr_db > found.quantized.sqnr_db + 10
    assert "conv1" in tuning.chosen.layers


def test_without_the_outlier_the_layer_is_not_special(tmp_path: Path) -> None:
    found = api.sensitivity(network(tmp_path, "bm1684"))
    assert of(found, "conv1").only.sqnr_db > 25 and of(found, "conv1").gain_db < 10


def test_a_bad_threshold_is_found_and_mended(tmp_path: Path) -> None:
    """Of the last layer's output, so that no other layer reads it; the target keeps the threshold of a pool."""
    net = network(tmp_path, "bm1684x", bad="p")
    tuning = api.tune(net, Budget("layers", 1))
    assert tuning.ranking.layers[0].layer.name == "pool"
    assert max(tuning.ranking.layers, key=lambda s: s.gain_db or 0.0).layer.name == "pool"
    assert tuning.chosen.layers == ("pool",)


def test_every_step_is_a_simulation_of_the_whole_network(tmp_path: Path) -> None:
    net = network(tmp_path, "bm1684", outlier=50.0, labels=True)
    tuning = api.tune(net, Budget("layers", 3))
    assert len(tuning.steps) > 2
    for step in tuning.steps:
        model = net.quantized(step.layers)
        session = Session(model.graph, path="reference")
        rr = dd = right = 0.0
        for record in net.records:
            truth = FloatRunner(net.graph).run(record.feeds)["y"].astype(np.float64)
            got = session.run(record.feeds).outputs["y"].astype(np.float64)
            rr, dd = rr + (truth**2).sum(), dd + ((got - truth) ** 2).sum()
            right += int(np.argmax(got) == record.labels[0])  # type: ignore[index]
        assert step.score.sqnr_db == pytest.approx(10 * np.log10(rr / dd), abs=1e-6)
        assert step.score.top1 == right / len(net.records)
    kept = [s.score.sqnr_db for s in tuning.steps if s.kept]
    assert kept == sorted(kept)
    assert tuning.steps[tuning.pareto[-1]].score.sqnr_db == max(s.score.sqnr_db for s in tuning.steps)


@pytest.mark.parametrize("layer", LAYERS)
def test_an_isolated_layer_equals_the_mixed_network(tmp_path: Path, layer: str) -> None:
    """On a target whose float rules are binary32, the network with all other layers in float is nearly the same."""
    net = network(tmp_path, "bm1684", outlier=20.0)
    others = [n.name for n in net.graph.nodes if n.name != layer]
    model = net.quantized(others)
    session, isolated = Session(model.graph), IsolatedLayer(net.graph, model, layer)
    runner = FloatRunner(net.graph, list(net.graph.activations()))
    for record in net.records:
        floats = runner.run(record.feeds)
        want, got = session.run(record.feeds).outputs["y"], isolated.run(floats)["y"]
        assert np.abs(got - floats["y"]).max() > 1e-3  # the layer does cost something
        np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_a_layer_that_is_no_integer_layer_is_refused(tmp_path: Path) -> None:
    net = network(tmp_path, "bm1684")
    with pytest.raises(UnsupportedError, match="conv1"):
        IsolatedLayer(net.graph, net.quantized(LAYERS), "conv1")
    assert downstream(net.graph, "y") is None


def test_small_caches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(tmp_path, "bm1684")
    whole = api.sensitivity(net).as_dict()
    monkeypatch.setattr(sensitivity_module, "LARGEST_CACHE", 1)
    steps: list[str] = []
    assert api.sensitivity(net, steps.append).as_dict() == whole
    assert len(steps) == 2 * len(LAYERS)


def test_data_that_cannot_be_measured(tmp_path: Path) -> None:
    net = network(tmp_path, "bm1684")
    with pytest.raises(DataError, match="no samples"):
        api.MixedNetwork(net.graph, net.thresholds, "bm1684", [])
    with pytest.raises(UsageError, match="labelled"):
        api.tune(net, Budget("layers", 1), metric="top1")


@pytest.mark.parametrize("kind", ["macs", "bytes", "layers"])
def test_budgets_hold(tmp_path: Path, kind: str) -> None:
    net = network(tmp_path, "bm1684", outlier=50.0)
    limit = 1 if kind == "layers" else 0.4
    tuning = api.tune(net, Budget(kind, limit))
    macs = {layer.name: layer.macs for layer in net.layers}
    sizes = {layer.name: layer.bytes for layer in net.layers}
    assert macs == {"conv0": 64 * 6 * 27, "conv1": 64 * 6 * 54, "conv2": 64 * 6 * 54, "pool": 0}
    assert sizes == {"conv0": 648, "conv1": 1296, "conv2": 1296, "pool": 0}
    for step in tuning.steps:
        assert step.cost["layers"] == len(step.layers)
        for value, table in (("macs", macs), ("bytes", sizes)):
            share = sum(table[n] for n in step.layers) / sum(table.values())
            assert step.cost[value] == pytest.approx(share)
        assert step.cost[kind] <= limit
    assert tuning.chosen.layers


@pytest.mark.parametrize(
    ("text", "budget"),
    [("layers=5", Budget("layers", 5)), ("macs=10%", Budget("macs", 0.1)), ("bytes=2.5%", Budget("bytes", 0.025))],
)
def test_budget_texts(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


BROKEN = ["", "layers", "layers=", "layers=0", "layers=1.5", "macs=10", "macs=0%", "macs=101%", "rows=1%", "macs=-1%"]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_budgets(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        Budget.parse(text)


@given(st.lists(st.tuples(st.integers(0, 5), st.tuples(st.integers(0, 5), st.just(0.0))), min_size=1))
def test_pareto(points: list[tuple[float, tuple[float, float]]]) -> None:
    best = pareto(points)

    def beaten(i: int) -> bool:
        return any(c <= points[i][0] and v >= points[i][1] and (c, v) != points[i] for c, v in points)

    assert {points[i] for i in best} == {points[i] for i in range(len(points)) if not beaten(i)}
    assert len({points[i] for i in best}) == len(best)
    assert [points[i][0] for i in best] == sorted(points[i][0] for i in best)


def test_upgrades() -> None:
    profile = load_target("bm1684").profile
    check_upgrade(profile, "float")
    with pytest.raises(UnsupportedError, match="no precision 'int16'"):
        check_upgrade(profile, "int16")
    with pytest.raises(UnsupportedError, match="not implemented"):
        check_upgrade(profile.model_copy(update={"precisions": ["int8", "int16"]}), "int16")


def test_layer_lists(tmp_path: Path) -> None:
    file = tmp_path / "layers.txt"
    file.write_text(layer_list(["a/conv 1", "b"], "why"))
    assert read_layer_list(str(file)) == ["a/conv 1", "b"] and read_layer_list("a, b,") == ["a", "b"]
    file.write_text(layer_list([], "none makes it better"))
    assert read_layer_list(str(file)) == []
    file.write_text("\n")
    with pytest.raises(DataError, match="names no layer"):
        read_layer_list(str(file))


Cli = Callable[..., tuple[int, str, str]]


def test_command_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = three_convolutions(tmp_path, 200.0), tmp_path / "data.npz"
    records = pictures(4)
    np.savez(data, x=np.concatenate([r.feeds["x"] for r in records]), label=np.arange(4))
    common = ("--target", "bm1684", "--data", data, "--method", "max")
    result, layers, page = tmp_path / "r.json", tmp_path / "float.txt", tmp_path / "r.html"
    code, out, err = run_cli(capsys, "sensitivity", model, *common, "--json", result)
    assert code == 0 and "conv1 costs most" in json.loads(result.read_text())["summary"]["sentence"]
    assert out.index("conv1") < out.index("conv0") and "sensitivity: 8 of 8" in err
    arguments = (*common, "--budget", "layers=1", "--write-layers", layers, "--json", result, "--html", page)
    code, out, _ = run_cli(capsys, "tune", model, *arguments)
    assert code == 0 and "chosen: conv1" in out and read_layer_list(str(layers)) == ["conv1"]
    stored = json.loads(result.read_text())
    assert stored["audit"]["tune"]["chosen"] == ["conv1"] and stored["audit"]["sensitivity"]["layers"]
    assert "Mixed precision" in page.read_text() and "Sensitivity" in page.read_text()
    code, out, _ = run_cli(capsys, "report", result)
    assert code == 0 and "chosen: conv1" in out
    code, _, _ = run_cli(capsys, "compile", model, *common, "--float-layers", layers, "--outdir", tmp_path / "out")
    nodes = {n.name: n.op for n in api.load(tmp_path / "out").graph.nodes}
    assert code == 0 and nodes["conv1"] == "FloatConv2d" and nodes["conv0"] == "Conv2d"
    assert run_cli(capsys, "verify", "-d", tmp_path / "out")[0] == 0
    code, _, err = run_cli(capsys, "compile", model, *common, "--float-layers", "nosuch", "--outdir", tmp_path / "no")
    assert code == 2 and "nosuch" in err and not (tmp_path / "no").exists()
    code, out, _ = run_cli(capsys, "audit", model, *common, "--float-layers", layers)
    assert code == 0 and "FloatConv2d" in out


def test_changed_rules_of_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A profile whose convolutions round down: every verb here simulates it."""
    model, data, result = three_convolutions(tmp_path), tmp_path / "data.npz", tmp_path / "r.json"
    np.savez(data, x=np.concatenate([r.feeds["x"] for r in pictures(3)]))
    profile = tmp_path / "floor.yaml"
    rule = "{op: Conv2d, set: {rounding: floor}}"
    profile.write_text(f"schema: bittrue-profile/1\ntarget: bm1684\nrules: [{rule}]\n")
    common = ("--target", "bm1684", "--data", data, "--method", "max", "--json", result)
    figures: dict[str, list[float]] = {"plain": [], "floor": []}
    for name, more in (("plain", ()), ("floor", ("--profile", profile))):
        assert run_cli(capsys, "audit", model, *common, *more)[0] == 0
        layers = json.loads(result.read_text())["audit"]["layers"]
        figures[name] += [e["sqnr_db"] for e in layers if e["name"] == "r2"]
        assert run_cli(capsys, "sensitivity", model, *common, *more)[0] == 0
        found = json.loads(result.read_text())["audit"]["sensitivity"]
        figures[name] += [found["quantized"]["sqnr_db"], min(e["only"]["sqnr_db"] for e in found["layers"])]
    assert all(a > b + 0.5 for a, b in zip(figures["plain"], figures["floor"], strict=True))


@pytest.mark.parametrize(
    ("code", "text", "arguments"),
    [
        (3, "no precision 'int16'", ("--budget", "layers=1", "--upgrade", "int16")),
        (2, "--budget", ("--budget", "layers=x")),
        (2, "no target", ("--budget", "layers=1", "--target", "nochip")),
    ],
)
def test_refusals(capsys: pytest.CaptureFixture[str], code: int, text: str, arguments: tuple[str, ...]) -> None:
    model, data = DIGITS / "digits.onnx", DIGITS / "test.npz"
    got, _, err = run_cli(capsys, "tune", model, "--target", "bm1684", "--data", data, *arguments)
    assert got == code and text in err and len(err.strip().splitlines()) == 1
