"""The search for settings: order, goal, what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bittrue import api
from bittrue.audit.search import METHODS, Search, Settings, Subject, run_search
from bittrue.calibrate.data import Record
from bittrue.graph.rewrites import Rewrites
from tests.audit.nets import DIGITS, run_cli, three_convolutions


def subject(folder: Path, outlier: float = 0.0, labels: bool = True) -> Subject:
    path = three_convolutions(folder, outlier)
    graph = api.load_float(path)
    random = np.random.default_rng(3)
    inputs = [random.standard_normal((1, 3, 8, 8)).astype(np.float32) for _ in range(12)]
    runner = api.FloatRunner(graph)
    records = []
    for i, x in enumerate(inputs):
        best = np.argmax(next(iter(runner.run({"x": x}).values())))
        records.append(Record(str(i), {"x": x}, np.asarray([best]) if labels else None))
    return Subject(lambda: api.load_float(path), records[:6], records, "bm1684")


def test_it_ends_when_the_goal_is_met(tmp_path: Path) -> None:
    seen: list[str] = []
    search = run_search(subject(tmp_path), goal=1.0, progress=lambda t: seen.append(t.settings.words))
    assert search.reached and seen == ["--method kl"] and search.float_top1 == 1.0
    assert search.table is not None and search.table.method == "kl"


def test_all_settings_in_order(tmp_path: Path) -> None:
    search = run_search(subject(tmp_path, labels=False), goal=0.0, exhaustive=True)
    settings = [t.settings for t in search.trials]
    assert [s.method for s in settings[: len(METHODS)]] == list(METHODS)
    assert [bool(s.rewrites != Rewrites()) for s in settings[len(METHODS) :]][:2] == [True, True]
    assert 1 <= sum(bool(s.float_layers) for s in settings) <= 5 and len(set(settings)) == len(settings)
    scores = [t.score.key("sqnr") for t in search.trials]
    assert search.chosen.score.key("sqnr") == max(scores)
    assert [t.best for t in search.trials] == [all(k < scores[i] for k in scores[:i]) for i in range(len(scores))]


def test_rewrites_mend_what_one_shift_for_a_layer_costs(tmp_path: Path) -> None:
    """A large weight of a dead channel takes the bits of all others; groups of channels give them back."""
    search = run_search(subject(tmp_path, outlier=40.0, labels=False), goal=0.0005)
    plain = [t.score.cosine for t in search.trials if t.settings.rewrites == Rewrites() and not t.float_layers]
    rewritten = [t.score.cosine for t in search.trials if t.settings.rewrites != Rewrites() and not t.float_layers]
    assert rewritten and max(rewritten) > max(plain)


def test_given_settings_come_first(tmp_path: Path) -> None:
    first = [Settings("max"), Settings("mse", float_layers=("conv1",))]
    search = run_search(subject(tmp_path, labels=False), goal=-1.0, first=first)
    assert [t.settings for t in search.trials[:2]] == first
    assert search.trials[1].float_layers == ("conv1",)
    assert not search.reached


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = DIGITS / "digits.onnx", ("--calibration", DIGITS / "calibration.npz", "--data", DIGITS / "test.npz")
    arguments = ("tune", model, "--target", "bm1684", *data, "--limit", "40", "--auto")
    table, page, stored = tmp_path / "best.json", tmp_path / "a.html", tmp_path / "a.json"
    files = ("--write-table", table, "--write-layers", tmp_path / "float.txt", "--html", page, "--json", stored)
    code, out, _ = run_cli(capsys, *arguments, *files)
    assert code == 0 and "chosen: --method kl" in out
    assert json.loads(stored.read_text())["audit"]["search"]["reached"] is True
    assert "Search for settings" in page.read_text() and "float layers of" in (tmp_path / "float.txt").read_text()
    assert run_cli(capsys, "compile", model, "--target", "bm1684", "--table", table, "--outdir", tmp_path / "o")[0] == 0
    code, _, err = run_cli(capsys, *arguments, "--accuracy-drop", "-1", "--limit", "4")
    assert code == 1 and "goal -1" in err
    code, _, err = run_cli(capsys, *arguments, "--budget", "layers=1")
    assert code == 2 and "--budget or --auto" in err
    assert run_cli(capsys, *arguments, "--table", table)[0] == 2


def test_a_search_without_trials_has_no_choice() -> None:
    assert not Search("bm1684", 1, 0, None, 0.1).reached
