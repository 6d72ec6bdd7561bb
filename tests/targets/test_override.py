"""Named rules of a target can be switched: every choice is spelled in attributes that the engine takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bittrue import api
from bittrue.errors import UsageError
from bittrue.ops import evaluate_graph
from bittrue.targets.loader import list_targets, load_target
from bittrue.targets.override import arithmetic_settings, setting_rules

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"
SWITCHES = [
    (p.name, key, str(c))
    for p in list_targets()
    if hasattr(load_target(p.name).lowering, "FLOAT")  # the others compile no float model
    for key, rule in p.rules.items()
    for c in rule.choices
    if rule.sets and c != rule.value
]


@pytest.mark.parametrize(("target", "rule", "choice"), SWITCHES)
def test_every_choice_runs_and_the_numpy_models_agree(target: str, rule: str, choice: str) -> None:
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    feeds = next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    changed = 0
    for precision in load_target(target).profile.precisions:
        model = api.quantize(graph, table.tensors, target, precision=precision)
        api.apply_profile(model, arith={rule: choice})
        changed += model.meta["changed_layers"]
        inputs = api.reference_feeds(model, feeds)
        got, expected = api.Session(model.graph).run(inputs, trace=True).trace, evaluate_graph(model.graph, inputs)
        for name, value in got.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
        labels = {str(n.attrs.get("evidence")) for n in model.graph.nodes}
        assert ("user" in labels) == (model.meta["changed_layers"] > 0)
    unused = {
        "bm1682.fp32_recip",
        "bm1684.fp32_recip",
        "bm1684x.fp_order",
    }  # the shipped network has no division and no float layers there
    assert changed or rule in unused


def test_the_value_a_rule_has_changes_nothing() -> None:
    assert setting_rules("bm1684", {"bm1684.round": "half_up"}) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"magic": "1"}, "no rule 'magic'"),
        ({"bm1684.round": "up"}, "choices: half_up"),
        ({"bm1684.scale": "/128"}, "cannot be switched"),
    ],
)
def test_bad_settings(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        setting_rules("bm1684", settings)


def test_texts() -> None:
    assert arithmetic_settings(["a.b=c", "d=e=f"]) == {"a.b": "c", "d": "e=f"}
    for text in ("a", "=b", "a="):
        with pytest.raises(UsageError, match="RULE=VALUE"):
            arithmetic_settings([text])
