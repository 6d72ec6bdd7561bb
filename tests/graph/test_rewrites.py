"""Rewrites before quantization: the float results stay, ranges get better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.graph.passes import run_passes
from bittrue.graph.rewrites import Rewrites, equalize, group_channels, pad_with
from bittrue.graph.rewrites.group_channels import channel_groups

F = np.float32


def network(seed: int, *, depthwise: bool = False, activation: str = "Relu", pads: int = 1) -> Graph:
    """conv -> activation -> pool -> conv (plain or depthwise); output channels of very different range."""
    random = np.random.default_rng(seed)
    spread = (2.0 ** random.uniform(-6, 1, (6, 1, 1, 1))).astype(F)
    second = (6, 1, 3, 3) if depthwise else (5, 6, 3, 3)
    constants = {
        "w1": random.standard_normal((6, 3, 3, 3)).astype(F) * spread,
        "b1": random.standard_normal(6).astype(F),
        "w2": random.standard_normal(second).astype(F),
        "b2": random.standard_normal(second[0]).astype(F),
        "slope": random.random((6, 1, 1)).astype(F),
    }
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1]}
    act = Node(activation, "act", ["c1", "slope"] if activation == "PRelu" else ["c1"], ["r1"])
    pool = Node("MaxPool", "pool", ["r1"], ["p1"], {"kernel_shape": [2, 2], "strides": [2, 2]})
    nodes = [
        Node("Conv", "conv1", ["x", "w1", "b1"], ["c1"], {**window, "group": 1, "pads": [pads] * 4}),
        act,
        pool,
        Node("Conv", "conv2", ["p1", "w2", "b2"], ["y"], {**window, "group": 6 if depthwise else 1, "pads": [1] * 4}),
    ]
    types = {"x": TensorType("float32", (2, 3, 8, 8))}
    types |= {n: TensorType("float32", c.shape) for n, c in constants.items()}
    graph = Graph("g", nodes, ["x"], ["y"], constants, types)
    run_passes(graph)
    graph.check()
    return graph


def run(graph: Graph, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((2, 3, 8, 8)).astype(F)
    result = FloatRunner(graph).run({"x": x})
    return result[graph.outputs[0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.booleans(), st.sampled_from(["Relu", "PRelu", "LeakyRelu"]), st.booleans())
def test_equalization_keeps_the_results(seed: int, depthwise: bool, activation: str, exact: bool) -> None:
    graph = network(seed, depthwise=depthwise, activation=activation)
    before = run(graph)
    assert equalize(graph, powers_of_two=not exact) == 1
    graph.check()
    after = run(graph)
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5 * np.abs(before).max())
    if not exact:  # powers of two round nothing, so every product and sum is only scaled
        np.testing.assert_array_equal(after, before)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999))
def test_equalization_makes_ranges_alike(seed: int) -> None:
    graph = network(seed)
    equalize(graph, powers_of_two=False)
    conv1, conv2 = (n for n in graph.nodes if n.op == "Conv")
    first = np.abs(graph.constants[conv1.inputs[1]]).max((1, 2, 3))
    second = np.abs(graph.constants[conv2.inputs[1]]).max((0, 2, 3))
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_equalization_worked_example() -> None:
    """One pair of 1x1 convolutions, computed by hand."""
    w1, b1 = np.asarray([[1, -4], [0.5, 0.25]], F), np.asarray([2, -1], F)
    w2 = np.asarray([[0.5, 8], [-0.25, 2]], F)
    constants = {"w1": w1.reshape(2, 2, 1, 1), "b1": b1, "w2": w2.reshape(2, 2, 1, 1)}
    attrs = {"group": 1, "kernel_shape": [1, 1]}
    nodes = [Node("Conv", "a", ["x", "w1", "b1"], ["t"], attrs), Node("Conv", "b", ["t", "w2"], ["y"], attrs)]
    types = {n: TensorType("float32", (1, 2, 1, 1)) for n in "xty"}
    types |= {n: TensorType("float32", c.shape) for n, c in constants.items()}
    graph = Graph("g", nodes, ["x"], ["y"], constants, types)
    equalize(graph, powers_of_two=False)
    got = [graph.constants[n].ravel() for n in (*nodes[0].inputs[1:], nodes[1].inputs[1])]
    np.testing.assert_allclose(got[0], [0.353553391, -1.414213562, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(got[1], [0.707106781, -4], rtol=1e-6)
    np.testing.assert_allclose(got[2], [1.414213562, 2, -0.707106781, 0.5], rtol=1e-6)


def test_a_result_of_the_network_is_not_equalized() -> None:
    graph = network(0)
    graph.outputs.append(graph.nodes[0].outputs[0])
    assert equalize(graph, powers_of_two=True) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9999), st.sampled_from(["Relu", "PRelu", "LeakyRelu"]))
def test_groups_of_channels_keep_the_results(seed: int, activation: str) -> None:
    graph = network(seed, activation=activation)
    sizes = [len(channel_groups(graph.constants[n.inputs[1]])) for n in graph.nodes if n.op == "Conv"]
    before = run(graph)
    assert group_channels(graph) == sum(s > 1 for s in sizes)
    graph.check()
    assert sum(n.op == "Conv" for n in graph.nodes) == sum(sizes)
    np.testing.assert_allclose(run(graph), before, rtol=1e-5, atol=1e-5 * np.abs(before).max())


@given(st.lists(st.floats(-12, 4), min_size=1, max_size=20))
def test_groups_are_powers_of_two_below_the_largest(exponents: list[float]) -> None:
    weight = (2.0 ** np.asarray(exponents)).reshape(-1, 1)
    groups = channel_groups(weight)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(weight))) and len(groups) <= 4
    for group in groups:
        ratios = np.floor(np.log2(weight.max() / weight[group, 0]))
        assert len(np.unique(np.minimum(ratios, 3))) == 1
    assert len(channel_groups(np.zeros((3, 2)))) == 1


def test_padding_with_a_value() -> None:
    graph = network(3, pads=0)
    reference = network(3, pads=0)
    assert pad_with(graph, 1.5) == 1  # only conv2 pads
    graph.check()
    assert Rewrites(pad_value=0.0).apply(reference) == []
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(F)
    inner = FloatRunner(reference, ["p1"]).run({"x": x})["p1"]
    padded = np.pad(inner, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=F(1.5))
    w, b = (reference.constants[i] for i in reference.nodes[-1].inputs[1:])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    want = np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]
    np.testing.assert_allclose(run(graph), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rewrites", [Rewrites("exact"), Rewrites("powers_of_two", True), Rewrites("", True, 2.0)])
def test_rewrites_say_what_they_did(rewrites: Rewrites) -> None:
    graph = network(1)
    notes = rewrites.apply(graph)
    graph.check()
    assert len(notes) == bool(rewrites.equalize) + rewrites.group_channels + bool(rewrites.pad_value)
    assert np.all(np.isfinite(run(graph)))
