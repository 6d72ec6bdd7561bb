"""Every planted fault is found in the right layer and named by its cause; clean runs raise no alarm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.shared import SHARED, needs_shared
from tests.verify.planted import FAULTS, Fault, plant

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.onnx_io import DOMAIN
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import BORN, TensorResult
from bittrue.runtime.session import Session
from bittrue.verify.explain.run import Explainer
from bittrue.verify.graph import GraphComparison
from bittrue.verify.policy import EXACT

Array = np.ndarray[Any, Any]
TARGETS = ("bm1684", "bm1684x")
LAYERS_PER_FAULT = 2


def examine(model: QuantizedModel, feeds: Mapping[str, Array], dump: Mapping[str, Array]) -> list[TensorResult]:
    """What `verify` finds in a dump of all tensors."""
    layers = {n: a for n, a in dump.items() if n not in model.graph.inputs}
    outputs = {o: dump[o] for o in model.graph.outputs}
    comparison = GraphComparison(model, Session(model.graph), EXACT)
    tensors = comparison.compare(feeds, layers, outputs, 1 << 30)
    Explainer(comparison.find_origins(tensors, feeds, layers, outputs)).explain(tensors)
    return tensors


def clean_run(model: QuantizedModel, feeds: Mapping[str, Array]) -> dict[str, Array]:
    return {**feeds, **Session(model.graph).run(feeds, trace=True).trace}


@cache
def digits(target: str) -> tuple[QuantizedModel, dict[str, Array]]:
    folder = Path(__file__).resolve().parents[2] / "reference_data/digits"
    graph = api.load_float(folder / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, folder / "calibration.npz"), method="max")
    model = api.quantize(graph, table.tensors, target)
    feeds = next(iter(api.records(graph, folder / "test.npz"))).feeds
    return model, api.reference_feeds(model, feeds)


@cache
def shared_model(file: str, shapes: tuple[tuple[str, tuple[int, ...]], ...], target: str) -> Any:
    assert SHARED is not None
    graph = api.load_float(SHARED / "models/onnx" / file, shapes=dict(shapes))
    rng = np.random.default_rng(1)
    feeds = {n: rng.uniform(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    model = api.quantize(graph, api.calibrate(graph, [Record("r", feeds)], method="max").tensors, target)
    return model, api.reference_feeds(model, feeds)


def check(model: QuantizedModel, feeds: Mapping[str, Array], fault: Fault, most: int) -> tuple[int, list[str]]:
    """(layers the fault was planted in, what was reported wrongly). The layer must always be right, and no other layer
    may be blamed; the proven causes must contain the right one."""
    values, planted, wrong = clean_run(model, feeds), 0, []
    nodes = model.graph.nodes
    for k in np.random.default_rng(FAULTS.index(fault)).permutation(len(nodes)):
        dump = plant(model.graph, nodes[k], fault, values, seed=int(k))
        if dump is None:
            continue
        planted += 1
        born = [t for t in examine(model, feeds, dump) if t.origin in BORN and t.role == "inner"]
        assert [t.layer for t in born] == [nodes[k].name], f"{fault.name} in {nodes[k].name}"
        causes = born[0].causes
        named = {c.cls for c in causes if c.status == causes[0].status}
        if not named & set(fault.classes):
            wrong.append(f"{fault.name} in {nodes[k].name}: {causes[0].sentence}")
        if planted == most:
            break
    return planted, wrong


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_digits(fault: Fault, target: str) -> None:
    model, feeds = digits(target)
    planted, wrong = check(model, feeds, fault, LAYERS_PER_FAULT)
    assert not wrong
    # 32-bit multipliers leave no exact ties, so a rule for ties changes nothing there.
    assert planted or (fault.name.startswith("ties") and target == "bm1684x")


@needs_shared
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("file", "shapes"),
    [
        ("mnist/mnist.onnx", ()),
        ("ppocr/ch_ppocr_mobile_v2.0_cls_infer.onnx", (("x", (1, 3, 48, 192)),)),
    ],
)
def test_real_models(file: str, shapes: tuple[tuple[str, tuple[int, ...]], ...], target: str) -> None:
    """One layer per fault; docs/explain.md has the table of more."""
    model, feeds = shared_model(file, shapes, target)
    results = [check(model, feeds, fault, 1) for fault in FAULTS]
    planted, wrong = sum(p for p, _ in results), [w for _, found in results for w in found]
    assert planted >= 20 and len(wrong) <= 0.05 * planted, wrong


@pytest.mark.parametrize("target", TARGETS)
def test_a_clean_run_raises_no_alarm(target: str) -> None:
    model, feeds = digits(target)
    tensors = examine(model, feeds, clean_run(model, feeds))
    assert all(t.verdict == "EQUAL" and not t.origin and not t.causes for t in tensors)


def test_random_differences_are_not_explained_away() -> None:
    model, feeds = digits("bm1684")
    values = clean_run(model, feeds)
    node = next(n for n in model.graph.nodes if n.name == "branch_a_conv")
    name, rng = node.outputs[0], np.random.default_rng(3)
    noisy = values[name].astype(np.int64) + np.where(rng.random(values[name].shape) < 0.05, rng.choice([-1, 1]), 0)
    fault = Fault("noise", lambda v: np.clip(noisy, 0, 255), lambda v: True, ())
    dump = plant(model.graph, node, fault, values, 0)
    assert dump is not None
    born = next(t for t in examine(model, feeds, dump) if t.origin in BORN)
    assert born.layer == node.name and all(c.status != "PROVEN" for c in born.causes)
    assert "none of" in born.causes[0].sentence


def test_an_error_swallowed_by_a_later_layer_is_masked() -> None:
    model, feeds = digits("bm1684")
    values = clean_run(model, feeds)
    node = next(n for n in model.graph.nodes if n.name == "block1_add")
    pool = next(n for n in model.graph.nodes if n.name == "pool")
    changed = values[node.outputs[0]].copy()
    window = changed[0, 0, :2, :2]
    window[np.unravel_index(int(window.argmin()), (2, 2))] = window.max()  # not above the maximum of its window
    fault = Fault("swallowed", lambda v: changed, lambda v: True, ())
    dump = plant(model.graph, node, fault, values, 0)
    assert dump is not None
    by_layer = {t.layer: t for t in examine(model, feeds, dump) if t.role == "inner"}
    assert by_layer[pool.name].origin == "MASKED" and by_layer[node.name].origin == "BORN_HERE"


def test_a_gap_in_the_dump_is_unresolved() -> None:
    model, feeds = digits("bm1684")
    values = clean_run(model, feeds)
    node = next(n for n in model.graph.nodes if n.name == "head_conv")
    dump = plant(model.graph, node, next(f for f in FAULTS if f.name == "bias missing"), values, 0)
    assert dump is not None
    del dump[node.outputs[0]]
    tensors = {t.layer: t for t in examine(model, feeds, dump) if t.role == "inner"}
    assert tensors["head_conv"].verdict == "EXTRA"
    assert tensors["head_silu"].origin == "UNRESOLVED" and tensors["head_silu"].region == ["head_conv", "head_silu"]


def test_a_single_value_tells_no_rules_apart() -> None:
    graph = Graph("mean", inputs=["x"], outputs=["y"])
    graph.types = {"x": TensorType("float32", (2, 3)), "y": TensorType("float32", ())}
    graph.nodes = [Node("FloatReduce", "mean", ["x"], ["y"], {"kind": "mean", "keepdims": 0}, DOMAIN)]
    model = QuantizedModel(graph, "bm1684", "fp32")
    feeds = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}
    (y,) = (t for t in examine(model, feeds, {**feeds, "y": np.float32(7).reshape(())}) if t.role == "inner")
    assert y.origin == "BORN_HERE" and [c.status for c in y.causes] == ["UNKNOWN"]
