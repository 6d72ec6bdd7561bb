"""Faults planted into one layer of a dump, as a device with that fault would have written it.

Each fault is computed without the code that looks for it: from the numpy models of the ops and from plain numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.ops import evaluate_node
from bittrue.runtime.session import Session
from bittrue.verify.replay import subgraph

Array = np.ndarray[Any, Any]
CONVOLUTIONS = ("Conv2d", "ConvTranspose2d", "MatMul")


@dataclass
class Victim:
    """A layer: its node, the clean tensors of the run, its clean output."""

    graph: Graph
    node: Node
    values: Mapping[str, Array]
    rng: np.random.Generator

    @property
    def clean(self) -> Array:
        return self.values[self.node.outputs[0]]

    @property
    def axis(self) -> int:
        return self.clean.ndim - 1 if self.node.op == "MatMul" else 1

    @property
    def channels(self) -> int:
        return int(self.clean.shape[self.axis])

    def inputs(self) -> list[Array | None]:
        tensors = {**self.graph.constants, **self.values}
        return [tensors[i] if i else None for i in self.node.inputs]

    def evaluate(
        self, attrs: dict[str, Any] | None = None, inputs: dict[int, Array | None] | None = None, dtype: str = ""
    ) -> Array:
        """The numpy model under changed attributes (None removes one), inputs or output type."""
        changed = {k: v for k, v in {**self.node.attrs, **(attrs or {})}.items() if v is not None}
        given = self.inputs()
        for position, array in (inputs or {}).items():
            given[position] = array
        names = [n if a is not None else "" for n, a in zip(self.node.inputs, given, strict=True)]
        node = Node(self.node.op, self.node.name, names, ["y"], changed, self.node.domain)
        type_ = TensorType(dtype or self.clean.dtype.name, self.clean.shape)
        return evaluate_node(node, given, [type_])[0]

    def unclamped(self) -> Array:
        """The scaled value before the clamp."""
        return self.evaluate({"clamp_min": None, "clamp_max": None}, dtype="int64")

    def bounds(self) -> tuple[int, int]:
        info = np.iinfo(self.clean.dtype)
        return int(self.node.attrs.get("clamp_min", info.min)), int(self.node.attrs.get("clamp_max", info.max))

    def some_channels(self, count: int) -> list[int]:
        return sorted(int(c) for c in self.rng.choice(self.channels, count, replace=False))


def rounding(rule: str) -> Callable[[Victim], Array]:
    return lambda v: v.evaluate({"rounding": rule})


def double_rounding(v: Victim) -> Array:
    low, high = v.bounds()
    shift = np.array(v.node.attrs["shift"])
    first = v.evaluate({"shift": (shift - 2).tolist(), "clamp_min": None, "clamp_max": None}, dtype="int64")
    return np.clip((first + 2) >> 2, low, high)


def offset(c: int) -> Callable[[Victim], Array]:
    return lambda v: np.clip(v.clean.astype(np.int64) + c, *v.bounds())


def wrapped(v: Victim) -> Array:
    return v.unclamped().astype(v.clean.dtype)


def relu(v: Victim) -> Array:
    return np.maximum(v.clean, 0)


def half_range(v: Victim) -> Array:
    return np.clip(v.clean, -64, 63)


def on_channels(count: int, change: Callable[[Victim, Array], Array]) -> Callable[[Victim], Array]:
    def fault(v: Victim) -> Array:
        result = np.moveaxis(v.clean.astype(np.int64), v.axis, 0).copy()
        chosen = v.some_channels(count)
        result[chosen] = change(v, result[chosen])
        return np.moveaxis(result, 0, v.axis)

    return fault


def swapped_channels(v: Victim) -> Array:
    result = np.moveaxis(v.clean, v.axis, 0).copy()
    a, b = v.some_channels(2)
    result[[a, b]] = result[[b, a]]
    return np.moveaxis(result, 0, v.axis)


def scaled(factor: float) -> Callable[[Victim], Array]:
    def fault(v: Victim) -> Array:
        product = v.clean.astype(np.float64) * factor
        return np.clip(np.trunc(product + np.copysign(0.5, product)), *v.bounds())

    return fault


def finer_multiplier(v: Victim) -> Array:
    """The factor of the layer times 1.0003, with 24 more bits to hold it."""
    shift = [int(s) + 24 for s in v.node.attrs["shift"]]
    multiplier = v.node.attrs.get("multiplier", [1] * len(shift))
    if max(multiplier) > 64:  # a wide multiplier holds it by itself
        return v.evaluate({"multiplier": [round(int(m) * 1.0003) for m in multiplier]})
    changed = {"multiplier": [round(int(m) * 1.0003 * 2**24) for m in multiplier], "shift": shift}
    return v.evaluate({"requant": "multiplier_shift", **changed})


def shift_by(delta: int) -> Callable[[Victim], Array]:
    return lambda v: v.evaluate({"shift": [int(s) + delta for s in v.node.attrs["shift"]]})


def channels_last(v: Victim) -> Array:
    return v.clean.transpose(0, 2, 3, 1).reshape(v.clean.shape)


def height_width(v: Victim) -> Array:
    return v.clean.transpose(0, 1, 3, 2).reshape(v.clean.shape)


def padding_value(value: int) -> Callable[[Victim], Array]:
    def fault(v: Victim) -> Array:
        x, pads = v.inputs()[0], v.node.attrs["pads"]
        assert x is not None
        padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=value)
        return v.evaluate({"pads": [0, 0, 0, 0]}, {0: padded})

    return fault


def missing_bias(v: Victim) -> Array:
    return v.evaluate(inputs={2: None})


def mirrored_kernel(v: Victim) -> Array:
    weights = v.inputs()[1]
    assert weights is not None
    return v.evaluate(inputs={1: weights[..., ::-1, ::-1]})


def stale(v: Victim) -> Array | None:
    """An earlier tensor of the same size and type."""
    earlier = list(v.values)[: list(v.values).index(v.node.outputs[0])]
    others = [n for n in earlier if v.values[n].nbytes == v.clean.nbytes and v.values[n].dtype == v.clean.dtype]
    return v.values[others[int(v.rng.integers(len(others)))]].reshape(v.clean.shape) if others else None


def unwritten_tail(v: Victim) -> Array:
    result = v.clean.copy()
    result.reshape(-1)[result.size * 5 // 8 + 3 :] = 0
    return result


def one_weight(v: Victim) -> Array:
    weights = v.inputs()[1]
    assert weights is not None
    changed = weights.copy()
    place = int(v.rng.integers(weights.size))
    changed.reshape(-1)[place] ^= 64  # one bit of an 8-bit weight
    return v.evaluate(inputs={1: changed})


def exchanged_inputs(v: Victim) -> Array:
    given = v.inputs()
    return v.evaluate(inputs={0: given[1], 1: given[0]})


def missing_input(v: Victim) -> Array:
    second = v.inputs()[1]
    assert second is not None
    return v.evaluate(inputs={1: np.zeros_like(second)})


def other_input(v: Victim) -> Array | None:
    """Another earlier tensor of the input's type."""
    name = v.node.inputs[0]
    earlier = list(v.values)[: list(v.values).index(v.node.outputs[0])]
    others = [n for n in earlier if n != name and v.graph.types[n] == v.graph.types[name]]
    return v.evaluate(inputs={0: v.values[others[int(v.rng.integers(len(others)))]]}) if others else None


def lookup_index(v: Victim) -> Array:
    table = v.inputs()[1]
    assert table is not None
    return v.evaluate(inputs={1: np.roll(table, 1)})


def nan(v: Victim) -> Array:
    result = v.clean.copy()
    result.reshape(-1)[int(v.rng.integers(result.size))] = np.nan
    return result


def is_convolution(v: Victim) -> bool:
    return v.node.op in CONVOLUTIONS


def is_integer(v: Victim) -> bool:
    return v.clean.dtype.kind in "iu"


def has_two_inputs(v: Victim) -> bool:
    """Two computed inputs of one type, which the layer treats differently."""
    names = v.node.inputs
    one_type = (
        len(names) == 2 and all(n in v.values for n in names) and v.graph.types[names[0]] == v.graph.types[names[1]]
    )
    return one_type and v.node.op in ("Add", "Concat")


def is_padded(v: Victim) -> bool:
    return v.node.op == "Conv2d" and any(v.node.attrs["pads"])


def is_map(v: Victim) -> bool:
    return is_integer(v) and v.clean.ndim == 4 and v.clean.shape[2] > 1 and v.clean.shape[3] > 1


def has_channels(v: Victim) -> bool:
    return is_map(v) and v.channels >= 4


@dataclass(frozen=True)
class Fault:
    """classes: what may be named as the cause; several where the fault is one thing under two names."""

    name: str
    plant: Callable[[Victim], Array | None]
    fits: Callable[[Victim], bool]
    classes: tuple[str, ...]


FAULTS = [
    Fault("ties away from zero", rounding("half_away"), is_convolution, ("TIE_ROUNDING",)),
    Fault("ties to even", rounding("half_even"), is_convolution, ("TIE_ROUNDING",)),
    Fault("ties down", rounding("half_down"), is_convolution, ("TIE_ROUNDING",)),
    Fault("floor", rounding("floor"), is_convolution, ("TRUNCATION",)),
    Fault("toward zero", rounding("toward_zero"), is_convolution, ("TRUNCATION",)),
    Fault("two roundings", double_rounding, is_convolution, ("DOUBLE_ROUNDING",)),
    Fault("offset +1", offset(1), is_integer, ("OFFSET",)),
    Fault("zero point +3", offset(3), is_integer, ("ZERO_POINT",)),
    Fault("wrapped output", wrapped, is_convolution, ("WRAP",)),
    Fault("relu applied", relu, is_integer, ("SATURATION",)),
    Fault("half range", half_range, is_integer, ("SATURATION",)),
    Fault("channel zeroed", on_channels(1, lambda v, a: a * 0), has_channels, ("PER_CHANNEL",)),
    Fault(
        "channel negated",
        on_channels(1, lambda v, a: np.clip(-a, *v.bounds())),
        lambda v: has_channels(v) and v.clean.dtype == np.int8 and v.bounds()[0] < 0,
        ("PER_CHANNEL",),
    ),
    Fault(
        "channel times 0.75",
        on_channels(1, lambda v, a: np.trunc(a * 0.75 + np.copysign(0.5, a)).astype(np.int64)),
        has_channels,
        ("PER_CHANNEL",),
    ),
    Fault("channels exchanged", swapped_channels, has_channels, ("PER_CHANNEL",)),
    Fault("scale times 1.06", scaled(1.06), is_map, ("SCALE", "MULTIPLIER")),
    Fault("multiplier times 1.0003", finer_multiplier, is_convolution, ("MULTIPLIER", "SCALE")),
    Fault("shift +1", shift_by(1), is_convolution, ("SCALE",)),
    Fault("shift -1", shift_by(-1), is_convolution, ("SCALE",)),
    Fault("channels last", channels_last, has_channels, ("LAYOUT",)),
    Fault("height and width exchanged", height_width, is_map, ("LAYOUT",)),
    Fault("padding value 1", padding_value(1), is_padded, ("PAD_EDGE",)),
    Fault("bias missing", missing_bias, lambda v: is_convolution(v) and len(v.node.inputs) > 2, ("BIAS",)),
    Fault("kernel mirrored", mirrored_kernel, lambda v: v.node.op == "Conv2d", ("LAYOUT",)),
    Fault("one weight bit", one_weight, lambda v: v.node.op == "Conv2d" and v.clean[0, 0].size >= 16, ("WEIGHT",)),
    Fault("inputs exchanged", exchanged_inputs, has_two_inputs, ("OPERAND",)),
    Fault("input missing", missing_input, has_two_inputs, ("OPERAND",)),
    Fault("another tensor read", other_input, lambda v: v.node.op in ("Conv2d", "MaxPool2d"), ("OPERAND",)),
    Fault("output zero", lambda v: v.clean * 0, is_integer, ("STALE_MISSING",)),
    Fault("stale copy", stale, is_integer, ("STALE_MISSING",)),
    Fault("tail not written", unwritten_tail, is_map, ("STALE_MISSING",)),
    Fault("table index +1", lookup_index, lambda v: v.node.op == "Lookup", ("LUT",)),
    Fault("NaN", nan, lambda v: v.clean.dtype == np.float32, ("NONFINITE",)),
]


def plant(graph: Graph, node: Node, fault: Fault, values: Mapping[str, Array], seed: int) -> dict[str, Array] | None:
    """All tensors of a run whose layer `node` has the fault: later layers computed from its output.

    values: the clean tensors, inputs included. None if the fault does not fit the layer or changes nothing there.
    """
    victim = Victim(graph, node, values, np.random.default_rng(seed))
    if not fault.fits(victim):
        return None
    planted = fault.plant(victim)
    if planted is None:
        return None
    output = node.outputs[0]
    planted = np.ascontiguousarray(planted.astype(victim.clean.dtype))
    if planted.tobytes() == victim.clean.tobytes():
        return None
    result = {**values, output: planted}
    later = graph.nodes[graph.nodes.index(node) + 1 :]
    if later:
        written = {o for n in later for o in n.outputs}
        reads = dict.fromkeys(i for n in later for i in n.inputs if i and i not in graph.constants and i not in written)
        rest = subgraph(graph, later, list(reads), [o for n in later for o in n.outputs])
        result |= Session(rest).run({i: result[i] for i in reads}, trace=True).trace
    return result
