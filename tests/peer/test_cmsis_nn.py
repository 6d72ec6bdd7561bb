"""CMSIS-NN's goldens (int8, int16, 4-bit weights) through the generic ops: TFLite's double rounding, the 64-bit
accumulator with a 16-bit multiplier, pools that divide by the valid taps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_graph
from bittrue.runtime.session import Session
from tests.shared import SHARED, needs_shared

# A case may hold an older and a newer generation of arrays; they are different tests, so they must not be mixed.
NEWER = {
    "input": ("input", "input_tensor"),
    "weights": ("input_weights", "weights"),
    "bias": ("input_bias", "bias"),
    "multiplier": ("output_multiplier",),
    "shift": ("output_shift",),
    "output": ("output",),
}
OLDER = {
    "input": ("input_data",),
    "weights": ("weights_data",),
    "bias": ("biases_data",),
    "multiplier": ("output_mult_data",),
    "shift": ("output_shift_data",),
    "output": ("output_ref_data",),
}


class Golden:
    """Arrays and macros of one case, by role and without the case's prefix."""

    def __init__(self, file: Path) -> None:
        data = np.load(file, allow_pickle=True)
        by_group = {k.split("|")[0]: data[k] for k in data.files if "|" in k}
        prefix = file.stem.upper() + "_"
        pairs = [str(m).split("=", 1) for m in data["__macros__"]]
        self.macros = {k.removeprefix(prefix): v for k, v in pairs}
        self.name = file.stem
        self.four_bits = "int4" in file.stem
        size = self.macros.get("DST_SIZE")
        for roles in (NEWER, OLDER):  # the macros describe the generation whose output has their size
            self.arrays = {
                role: next(by_group[g] for g in groups if g in by_group)
                for role, groups in roles.items()
                if any(g in by_group for g in groups)
            }
            if "output" in self.arrays and size in (None, str(self.arrays["output"].size)):
                break

    def number(self, *names: str, default: int | None = None) -> int:
        for name in names:
            if name in self.macros:
                return int(self.macros[name])
        assert default is not None, names
        return default

    @property
    def kind(self) -> str:
        if "output" not in self.arrays or "input" not in self.arrays:
            return ""
        if "weights" in self.arrays:
            if "ACCUMULATION_DEPTH" in self.macros and ("OUTPUT_MULTIPLIER" in self.macros):
                return "fc"
            if "multiplier" not in self.arrays or not {"FILTER_X", "PAD_X"} <= set(self.macros):
                return ""
            return "deconv" if "transpose" in self.name else "conv"
        return "pool" if "FILTER_H" in self.macros else ""

    def stage(self, dtype: str, multiplier: list[int], shift: list[int]) -> dict[str, Any]:
        # int16 with a 32-bit bias keeps TFLite's double rounding.
        if dtype == "int8" or "xint32" in self.name:
            scaling: dict[str, Any] = {
                "requant": "double_round",
                "multiplier": multiplier,
                "shift": [-s for s in shift],
                "rounding": "half_away",
                "high_rounding": "half_up",
            }
        else:
            reduced = [(m + (1 << 15)) >> 16 if m < 0x7FFF0000 else 0x7FFF for m in multiplier]
            scaling = {"requant": "multiplier_shift", "multiplier": reduced, "shift": [15 - s for s in shift]}
        return scaling | {
            "zero_point": self.number("OUTPUT_OFFSET", default=0),
            "clamp_min": self.number("OUT_ACTIVATION_MIN", "ACTIVATION_MIN"),
            "clamp_max": self.number("OUT_ACTIVATION_MAX", "ACTIVATION_MAX"),
        }


def padding(before: int, size: int, out: int, stride: int, extent: int) -> int:
    return max(0, (out - 1) * stride + extent - size - before)


def unpacked(weights: np.ndarray, count: int) -> np.ndarray:
    """4-bit weights stored two to a byte become one to an element."""
    if weights.size != (count + 1) // 2 or weights.size == count:
        return weights[:count]
    nibbles = np.stack([weights.view(np.uint8) & 15, weights.view(np.uint8) >> 4], 1).ravel()[:count].astype(np.int8)
    return np.where(nibbles > 7, nibbles - 16, nibbles).astype(ml_dtypes.int4)


def conv(g: Golden) -> tuple[Graph, dict[str, np.ndarray], np.ndarray]:
    n, h, w, c = (g.number(k) for k in ("INPUT_BATCHES", "INPUT_H", "INPUT_W", "IN_CH"))
    oh, ow, oc = (g.number(k) for k in ("OUTPUT_H", "OUTPUT_W", "OUT_CH"))
    kh, kw = g.number("FILTER_Y"), g.number("FILTER_X")
    strides = [g.number("STRIDE_Y"), g.number("STRIDE_X")]
    dilations = [g.number("DILATION_Y", default=1), g.number("DILATION_X", default=1)]
    top, left = g.number("PAD_Y"), g.number("PAD_X")
    depthwise = "CH_MULT" in g.macros
    x = g.arrays["input"].reshape(n, h, w, c).transpose(0, 3, 1, 2)
    if depthwise:
        weights = unpacked(g.arrays["weights"], kh * kw * oc).reshape(kh, kw, oc).transpose(2, 0, 1)[:, None]
        group = c
    else:
        full = c if g.four_bits else g.arrays["weights"].size // (oc * kh * kw)
        weights = unpacked(g.arrays["weights"], oc * kh * kw * full).reshape(oc, kh, kw, full).transpose(0, 3, 1, 2)
        group = c // full
    dtype = g.arrays["output"].dtype.name
    attrs = {
        "strides": strides,
        "dilations": dilations,
        "pads": [
            top,
            left,
            padding(top, h, oh, strides[0], (kh - 1) * dilations[0] + 1),
            padding(left, w, ow, strides[1], (kw - 1) * dilations[1] + 1),
        ],
        "group": group,
        "x_zero_point": -g.number("INPUT_OFFSET"),
        **g.stage(dtype, g.arrays["multiplier"][:oc].tolist(), g.arrays["shift"][:oc].tolist()),
    }
    return one_node("Conv2d", g, x, weights, (n, oc, oh, ow), attrs)


def deconv(g: Golden) -> tuple[Graph, dict[str, np.ndarray], np.ndarray]:
    n, h, w, c = (g.number(k) for k in ("INPUT_BATCHES", "INPUT_H", "INPUT_W", "IN_CH"))
    oh, ow, oc = (g.number(k) for k in ("OUTPUT_H", "OUTPUT_W", "OUT_CH"))
    kernel = (g.number("FILTER_Y"), g.number("FILTER_X"))
    attrs = {
        "strides": [g.number("STRIDE_Y"), g.number("STRIDE_X")],
        "pads": [g.number("PAD_Y"), g.number("PAD_X"), 0, 0],
        "x_zero_point": -g.number("INPUT_OFFSET"),
        **g.stage("int8", g.arrays["multiplier"][:oc].tolist(), g.arrays["shift"][:oc].tolist()),
    }
    x = g.arrays["input"].reshape(n, h, w, c).transpose(0, 3, 1, 2)
    weights = g.arrays["weights"].reshape(oc, *kernel, c).transpose(3, 0, 1, 2)
    return one_node("ConvTranspose2d", g, x, weights, (n, oc, oh, ow), attrs)


def fully_connected(g: Golden) -> tuple[Graph, dict[str, np.ndarray], np.ndarray]:
    n, depth, oc = g.number("INPUT_BATCHES"), g.number("ACCUMULATION_DEPTH"), g.number("OUT_CH")
    weights = unpacked(g.arrays["weights"], oc * depth).reshape(oc, depth).T
    attrs = {
        "a_zero_point": -g.number("INPUT_OFFSET"),
        "b_zero_point": [-g.number("FILTER_OFFSET", default=0)],
        **g.stage(g.arrays["output"].dtype.name, [g.number("OUTPUT_MULTIPLIER")], [g.number("OUTPUT_SHIFT")]),
    }
    return one_node("MatMul", g, g.arrays["input"].reshape(n, depth), weights, (n, oc), attrs)


def pool(g: Golden) -> tuple[Graph, dict[str, np.ndarray], np.ndarray]:
    n, h, w, c = g.number("BATCH_SIZE"), g.number("INPUT_H"), g.number("INPUT_W"), g.number("INPUT_C")
    oh, ow = g.number("OUTPUT_H"), g.number("OUTPUT_W")
    kernel, strides = [g.number("FILTER_H"), g.number("FILTER_W")], [g.number("STRIDE_H"), g.number("STRIDE_W")]
    top, left = g.number("PADDING_H"), g.number("PADDING_W")
    ends = [padding(top, h, oh, strides[0], kernel[0]), padding(left, w, ow, strides[1], kernel[1])]
    attrs: dict[str, Any] = {"kernel": kernel, "strides": strides, "pads": [top, left, *ends]}
    attrs |= {"clamp_min": g.number("ACTIVATION_MIN"), "clamp_max": g.number("ACTIVATION_MAX")}
    x = g.arrays["input"].reshape(n, h, w, c).transpose(0, 3, 1, 2)
    return one_node("MaxPool2d", g, x, None, (n, c, oh, ow), attrs)


def one_node(
    op: str, g: Golden, x: np.ndarray, weights: np.ndarray | None, shape: tuple[int, ...], attrs: dict[str, Any]
) -> tuple[Graph, dict[str, np.ndarray], np.ndarray]:
    dtype = g.arrays["output"].dtype.name
    graph = Graph(op, inputs=["x"], outputs=["y"], types={"y": TensorType(dtype, shape)})
    x = np.ascontiguousarray(x)
    graph.types["x"] = TensorType(x.dtype.name, x.shape)
    inputs = ["x"]
    if weights is not None:
        inputs.append(graph.add_constant("w", np.ascontiguousarray(weights)))
        channels = shape[1]
        if "bias" in g.arrays and g.arrays["bias"].size >= channels:
            inputs.append(graph.add_constant("b", g.arrays["bias"][:channels]))
    graph.nodes = [Node(op, "node", inputs, ["y"], attrs, "bittrue")]
    count = int(np.prod(shape))
    want = g.arrays["output"][:count]
    if len(shape) == 4:
        want = want.reshape(shape[0], *shape[2:], shape[1]).transpose(0, 3, 1, 2)
    return graph, {"x": x}, want.reshape(shape)


FOLDER = (SHARED or Path()) / "peer/cmsis-nn"
KINDS = {"conv": conv, "deconv": deconv, "fc": fully_connected, "pool": pool}
FILES = sorted(f for f in FOLDER.glob("*.npz") if Golden(f).kind) if SHARED else []


@needs_shared
def test_enough_goldens_are_covered() -> None:
    kinds = [Golden(f).kind for f in FILES]
    assert kinds.count("conv") >= 40 and kinds.count("fc") >= 5 and kinds.count("pool") >= 8


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_golden(file: Path) -> None:
    golden = Golden(file)
    graph, feeds, want = KINDS[golden.kind](golden)
    if file.stem.startswith("avgpooling"):
        (node,) = graph.nodes
        node.op, node.attrs = (
            "AvgPool2d",
            {**node.attrs, "requant": "divide", "rounding": "half_away", "count_include_pad": 0},
        )
    np.testing.assert_array_equal(evaluate_graph(graph, feeds)["y"], want)
    for path in ("reference", None):
        np.testing.assert_array_equal(Session(graph, path=path).run(feeds).outputs["y"], want)
