"""Every rule of the vector output stage against the scalar one on random sums of any magnitude, each channel with
parameters of its own: a thousand million sums in the slow run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bittrue import _core
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session

pytestmark = pytest.mark.skipif(not _core.path_available("avx2"), reason="the vector stage needs AVX2")

INTEGER_MODES = [m for m in _core.rounding_names() if m != "add_half_trunc"]
COMMUTING = ("half_up", "half_down", "floor", "ceil")  # with the addition of an integer
CHANNELS = 37  # neither a multiple of a vector nor less than two of them
SLOW_SUMS = 10**9

Variant = tuple[str, str, int, dict[str, Any]]  # rule, output type, bits of the sums, attributes


def rules() -> Iterator[tuple[str, int, dict[str, Any]]]:
    """(name, bits of the sums, attributes) of every vector form with every rounding it knows."""
    rng = np.random.default_rng(0)

    def multipliers(low: int, high: int) -> list[int]:
        values = rng.integers(low, high, CHANNELS) * rng.choice([-1, 1], CHANNELS)
        return [int(v) for v in values]

    def shifts(low: int, high: int) -> list[int]:
        return [int(v) for v in rng.integers(low, high, CHANNELS, endpoint=True)]

    yield "none", 31, {"requant": "none"}
    yield "none of small sums", 8, {"requant": "none"}
    yield "shift_add", 20, {"requant": "shift", "shift": shifts(1, 24)}
    high = {"requant": "multiplier_shift", "multiplier": multipliers(1, 2**31), "shift": shifts(33, 62)}
    yield "multiply_high", 31, high
    for mode in INTEGER_MODES:
        rounding = {"rounding": mode}
        product = {"requant": "multiplier_shift"} | rounding
        yield f"shift {mode}", 31, {"requant": "shift", "shift": shifts(0, 31)} | rounding
        yield f"multiply32 {mode}", 20, product | {"multiplier": multipliers(1, 2**10), "shift": shifts(0, 31)}
        # One shift of 31 keeps the upper half of products alone from being enough.
        some_31 = [31, *shifts(31, 62)[1:]]
        yield f"multiply64 {mode}", 31, product | {"multiplier": multipliers(2**30, 2**31), "shift": some_31}
        yield (
            f"multiply64_high {mode}",
            31,
            product | {"multiplier": multipliers(2**30, 2**31), "shift": shifts(32, 62)},
        )
        yield f"multiply64_wide {mode}", 31, product | {"multiplier": multipliers(2**29, 2**31), "shift": shifts(1, 30)}
        double = {"requant": "double_round", "multiplier": multipliers(1, 2**31), "shift": shifts(0, 31)}
        yield f"double_round {mode}", 31, double | rounding
    for mode in _core.rounding_names():
        scales = [float(s) for s in np.exp2(rng.uniform(-30, 1, CHANNELS)).astype(np.float32)]
        yield f"float_scale {mode}", 31, {"requant": "float_scale", "scale": scales, "rounding": mode}


def variants() -> list[Variant]:
    """The rules with every output type, and with zero points and clamps that the vector code adds in different ways."""
    found: list[Variant] = []
    for name, bits, attrs in rules():
        before = attrs.get("rounding", "half_up") in COMMUTING and attrs["requant"] != "float_scale"
        order = {"zero_point_order": "before_rounding" if before else "after_rounding"}
        if attrs["requant"] == "float_scale":  # needs limits that a float holds exactly
            found.append((name, "int32", bits, attrs | {"clamp_min": -(2**24), "clamp_max": 2**24}))
        else:
            found.append((name, "int32", bits, attrs))
        found.append((name, "int16", bits, attrs | order | {"zero_point": -300, "clamp_max": 30000}))
        found.append((name, "int8", bits, attrs))
        found.append((name, "int8", bits, attrs | {"zero_point": 500, "clamp_min": -100}))
        found.append((name, "uint8", bits, attrs | order | {"zero_point": 128, "clamp_min": 1, "clamp_max": 250}))
    return found


def may_run_in_tiles(variant: Variant) -> bool:
    name, dtype, _, attrs = variant
    is_byte = dtype in ("int8", "uint8") and abs(attrs.get("zero_point", 0)) <= 255
    return is_byte and name in ("shift_add", "multiply_high")


def differences(sums: int, chosen: list[Variant]) -> tuple[int, int, list[str]]:
    """How many sums were compared, how many in tiles, and the variants that differ or have no vector form."""
    pixels = -(-sums // (len(chosen) * CHANNELS))
    compared, in_tiles, wrong = 0, 0, []
    for seed, variant in enumerate(chosen):
        name, dtype, bits, attrs = variant
        result = _core.compare_stages(attrs, dtype, CHANNELS, bits, seed, pixels)
        compared += result.sums
        in_tiles += result.sums_in_tiles
        fails = result.different_in_rows or result.different_in_pixels or result.different_in_tiles
        if fails or not result.vectorized:
            wrong.append(
                f"{name} to {dtype}: {result.different_in_rows} in rows, {result.different_in_pixels} in pixels, "
                f"{result.different_in_tiles} of {result.sums_in_tiles} in tiles, "
                f"{'vector' if result.vectorized else 'scalar'} form"
            )
    return compared, in_tiles, wrong


def test_a_sample() -> None:
    assert differences(2_000_000, variants())[2] == []


def has_tiles_with_stages() -> bool:
    """Whether the kernels with an output stage in registers run here: not on other processors, nor where they are
    emulated."""
    graph = Graph("conv", inputs=["x"], outputs=["y"])
    graph.types = {n: TensorType("int8", (1, 64, 1, 1)) for n in "xy"}
    graph.add_constant("w", np.ones((64, 1, 1, 1), np.int8))
    graph.nodes = [
        Node("Conv2d", "conv", ["x", "w"], ["y"], {"group": 64, "requant": "shift", "shift": [1]}, "bittrue")
    ]
    return Session(graph, path=_core.best_path()).implementations["conv"] == "depthwise_i8/avx512vnni"


def test_tiles_have_the_rules() -> None:
    compared, in_tiles, wrong = differences(400_000, [v for v in variants() if may_run_in_tiles(v)])
    assert wrong == []
    assert in_tiles == (compared if has_tiles_with_stages() else 0)


@pytest.mark.slow
def test_a_thousand_million_sums() -> None:
    compared, _, wrong = differences(SLOW_SUMS, variants())
    assert compared >= SLOW_SUMS
    assert wrong == []


@pytest.mark.slow
def test_a_thousand_million_sums_in_tiles() -> None:
    compared, in_tiles, wrong = differences(SLOW_SUMS, [v for v in variants() if may_run_in_tiles(v)])
    assert in_tiles == (compared if has_tiles_with_stages() else 0)
    assert wrong == []
