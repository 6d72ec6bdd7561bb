"""The layers that mixed precision chooses from: which they are, what they cost, and files that list them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bittrue.errors import DataError
from bittrue.graph.ir import Graph, Node
from bittrue.quantize.model import QuantizedModel
from bittrue.quantize.movement import MOVEMENT


@dataclass(frozen=True)
class Layer:
    """A node of the float graph that runs in integers. macs: multiplications of one run. bytes: of its constants as
    the float model stores them."""

    name: str
    op: str
    macs: int
    bytes: int


def quantizable_layers(graph: Graph, model: QuantizedModel) -> list[Layer]:
    """Layers of `graph` that `model`, quantized as a whole, computes in integers; ops that only move data left out."""
    integer = {n.name for n in model.graph.nodes if n.outputs[0] in model.tensors}
    return [
        layer_of(graph, node)
        for node in graph.nodes
        if node.name in integer and node.op not in MOVEMENT and node.op != "Resize"
    ]


def layer_of(graph: Graph, node: Node) -> Layer:
    weights = [i for i in node.inputs if i in graph.constants]
    return Layer(node.name, node.op, multiplications(graph, node), sum(graph.types[w].bytes for w in weights))


def multiplications(graph: Graph, node: Node) -> int:
    """Of convolutions and matrix products; 0 for other ops."""
    if node.op == "Conv":
        taps = graph.types[node.inputs[1]].elements // graph.types[node.inputs[1]].shape[0]
        return graph.types[node.outputs[0]].elements * taps
    if node.op == "ConvTranspose":
        w = graph.types[node.inputs[1]]
        return graph.types[node.inputs[0]].elements * (w.elements // w.shape[0])
    if node.op in ("Gemm", "MatMul"):
        return graph.types[node.outputs[0]].elements * graph.types[node.inputs[0]].shape[-1]
    return 0


def read_layer_list(text: str) -> list[str]:
    """Layer names from a file with one name a line (`#` starts a comment line), or separated by commas.

    Raises DataError for a file that cannot be read or that names no layer.
    """
    path = Path(text)
    if not path.is_file():
        return [name for name in (part.strip() for part in text.split(",")) if name]
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: not a list of layers ({e})") from e
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names and not any(line.startswith("#") for line in lines):
        raise DataError(f"{path}: names no layer")
    return names


def layer_list(names: Iterable[str], comment: str) -> str:
    """Text that `read_layer_list` reads."""
    return "".join(f"{line}\n" for line in (f"# {comment}", *names))
