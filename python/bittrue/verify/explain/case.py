"""One layer, simulated alone: what it should compute from these inputs, and what was observed instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bittrue.errors import BittrueError
from bittrue.graph.ir import Graph, Node, TensorType
from bittrue.runtime.session import Session
from bittrue.targets.requantization import completed, factors_of
from bittrue.verify.metrics import bad_elements, is_integer

Array = np.ndarray[Any, Any]
# Attributes of the output stage (docs/quantized-graph.md) and what stands for an absent one.
STAGE_DEFAULTS: dict[str, Any] = {
    "acc": "exact64",
    "requant": "none",
    "multiplier": [1],
    "shift": [0],
    "scale": [1.0],
    "rounding": "half_up",
    "high_rounding": "half_up",
    "zero_point": 0,
    "zero_point_order": "after_rounding",
    "clamp_min": None,
    "clamp_max": None,
}
# Ops that end in one output stage over exact sums: the sums are computed once, stages are tried on them.
SUMMING = {"Conv2d", "ConvTranspose2d", "MatMul", "AvgPool2d", "Add", "Mul", "Minimum", "Maximum", "Clip", "Requantize"}


@dataclass
class LayerCase:
    """graph, node: the quantized graph and its layer; inputs: the tensors the reference gave it; simulated, observed:
    its output by the graph's arithmetic and in the reference. others: further tensors of the run, for stale copies.
    """

    graph: Graph
    node: Node
    output: str
    inputs: Mapping[str, Array]
    simulated: Array
    observed: Array
    others: Mapping[str, Array] = field(default_factory=dict)
    path: str | None = None
    threads: int | None = None

    def attribute(self, name: str) -> Any:
        """Value of an attribute, of the output stage's default if it is absent."""
        return self.node.attrs.get(name, STAGE_DEFAULTS.get(name))

    @property
    def integer(self) -> bool:
        return is_integer(self.simulated)

    @cached_property
    def bad(self) -> Array:
        """Elements that differ."""
        return bad_elements(self.simulated, self.observed)

    @cached_property
    def difference(self) -> Array:
        """observed - simulated, int64 or float64."""
        wide = np.int64 if self.integer else np.float64
        with np.errstate(invalid="ignore"):
            result: Array = self.observed.astype(wide) - self.simulated.astype(wide)
        return result

    @property
    def channel_axis(self) -> int:
        """Axis of the output's channels: the last of a matrix product, else 1."""
        rank = self.simulated.ndim
        return rank - 1 if self.node.op in ("MatMul", "FloatMatMul") else min(1, rank - 1)

    @property
    def bounds(self) -> tuple[int, int]:
        """Range that the output is clamped to (integers)."""
        info = np.iinfo(self.simulated.dtype)
        low, high = self.attribute("clamp_min"), self.attribute("clamp_max")
        return int(info.min if low is None else low), int(info.max if high is None else high)

    @cached_property
    def free(self) -> Array:
        """Elements whose value no clamp hides, on either side."""
        low, high = self.bounds
        inside = (self.simulated > low) & (self.simulated < high)
        info = np.iinfo(self.observed.dtype)
        result: Array = inside & (self.observed > max(low, info.min)) & (self.observed < min(high, info.max))
        return result

    def constant(self, index: int) -> Array | None:
        """A constant input."""
        names = self.node.inputs
        return self.graph.constants.get(names[index]) if index < len(names) else None

    def operand(self, index: int) -> Array | None:
        """An input, computed or constant."""
        names = self.node.inputs
        if index >= len(names) or not names[index]:
            return None
        constant = self.graph.constants.get(names[index])
        return self.inputs.get(names[index]) if constant is None else constant

    def run(
        self,
        attrs: Mapping[str, Any] | None = None,
        operands: Mapping[int, Array | None] | None = None,
        dtype: str | None = None,
    ) -> Array | None:
        """The layer under a change: attributes (None removes one), other operands by position (None removes one), or
        another output type. None if the engine refuses it."""
        changes = completed(self.node.attrs, attrs or {})
        changed = {k: v for k, v in {**self.node.attrs, **changes}.items() if v is not None}
        names: list[str] = []
        constants: dict[str, Array] = {}
        feeds: dict[str, Array] = {}
        types: dict[str, TensorType] = {}
        for position, name in enumerate(self.node.inputs):
            array = self.operand(position)
            if operands and position in operands:
                array = operands[position]
            if array is None:
                names.append("")
                continue
            alias = f"x{position}"
            names.append(alias)
            old = self.graph.types[name].dtype
            narrow = old in ("int4", "uint4") and array.dtype == np.int8
            types[alias] = TensorType(old if narrow else array.dtype.name, tuple(array.shape))
            (feeds if name in self.inputs else constants)[alias] = array
        node = Node(self.node.op, self.node.name, names, ["y"], changed, self.node.domain)
        types["y"] = TensorType(dtype or self.simulated.dtype.name, tuple(self.simulated.shape))
        outputs = ["y"]
        if len(self.node.outputs) > 1:
            outputs = [f"y{k}" if o != self.output else "y" for k, o in enumerate(self.node.outputs)]
            types |= {y: self.graph.types[o] for y, o in zip(outputs, self.node.outputs, strict=True) if y != "y"}
            node = Node(self.node.op, self.node.name, names, outputs, changed, self.node.domain)
        return run_graph(Graph("layer", [node], list(feeds), ["y"], constants, types), feeds, self.path, self.threads)

    @cached_property
    def sums(self) -> Array | None:
        """The exact sums before the output stage, int64; None for other ops and for average pools that divide."""
        if self.node.op not in SUMMING or self.attribute("requant") == "divide" or not self.integer:
            return None
        plain = {k: None for k in STAGE_DEFAULTS}
        return self.run({**plain, "acc": "exact64", "requant": "none"}, dtype="int64")

    def stage(self, sums: Array, attrs: Mapping[str, Any] | None = None, dtype: str | None = None) -> Array | None:
        """The output stage on given sums, with changed attributes."""
        own = {k: v for k in STAGE_DEFAULTS if (v := self.attribute(k)) is not None}
        changed = {k: v for k, v in {**own, **completed(own, attrs or {})}.items() if v is not None}
        types = {
            "x0": TensorType("int64", tuple(sums.shape)),
            "y": TensorType(dtype or self.simulated.dtype.name, tuple(sums.shape)),
        }
        node = Node("Requantize", "stage", ["x0"], ["y"], {**changed, "axis": self.channel_axis}, self.node.domain)
        return run_graph(Graph("stage", [node], ["x0"], ["y"], {}, types), {"x0": sums}, self.path, self.threads)

    @cached_property
    def unclamped(self) -> Array | None:
        """The scaled value before the clamp, int64."""
        if self.sums is None:
            return None
        return self.stage(self.sums, {"clamp_min": None, "clamp_max": None}, dtype="int64")

    @cached_property
    def factors(self) -> Array | None:
        """The real factor of the output stage, one or one per channel, float64; None where there is none."""
        return factors_of(self.node.attrs)

    def per_channel(self, values: Array) -> Array:
        """A vector of one entry or one per channel, shaped to broadcast against the output."""
        shape = [1] * self.simulated.ndim
        shape[self.channel_axis] = values.size
        return values.reshape(shape)


def run_graph(
    graph: Graph, feeds: Mapping[str, Array], path: str | None = None, threads: int | None = None
) -> Array | None:
    """The first output of a graph; None if the engine refuses the graph."""
    try:
        return Session(graph, path=path, threads=threads).run(feeds).outputs[graph.outputs[0]]
    except BittrueError:
        return None
    except ValueError:  # shapes that do not fit together
        return None


@dataclass(frozen=True)
class Hypothesis:
    """One changed thing. cls, label: the class it belongs to; text: the change in words; result: the layer under
    it, None if it cannot be; change: node attributes that carry it over to other layers, {} if it is about this layer
    only; free_parameters: how many numbers were fitted to the observed values."""

    cls: str
    label: str
    text: str
    result: Array | None
    change: dict[str, Any] = field(default_factory=dict)
    free_parameters: int = 0
