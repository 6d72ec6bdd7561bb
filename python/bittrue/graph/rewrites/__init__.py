"""Changes of a float graph before quantization, asked for by the user: the float results stay, up to rounding, and
quantization costs less; or, for the padding value, they change as asked.

A calibration table belongs to the rewritten graph: the same rewrites are needed where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from bittrue.graph.ir import Graph
from bittrue.graph.rewrites.equalize import equalize
from bittrue.graph.rewrites.group_channels import group_channels
from bittrue.graph.rewrites.pad_with import pad_with


@dataclass(frozen=True)
class Rewrites:
    """equalize: "", "exact" or "powers_of_two", see `equalize`. group_channels: see there. pad_value: of padding
    convolutions."""

    equalize: str = ""
    group_channels: bool = False
    pad_value: float = 0.0

    def apply(self, graph: Graph) -> list[str]:
        """Rewrites a graph in place; returns what was done, in words."""
        notes = []
        if self.equalize:
            pairs = equalize(graph, powers_of_two=self.equalize == "powers_of_two")
            notes.append(f"channels of {pairs} pair(s) of layers equalized ({self.equalize})")
        if self.group_channels:
            notes.append(f"output channels of {group_channels(graph)} convolution(s) grouped by their range")
        if self.pad_value:
            notes.append(f"{pad_with(graph, self.pad_value)} convolution(s) pad with {self.pad_value}")
        return notes


__all__ = ["Rewrites", "equalize", "group_channels", "pad_with"]
