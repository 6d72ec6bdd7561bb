"""numpy models of all ops of the quantized graph (docs/quantized-graph.md)."""

from importlib import import_module
from pkgutil import iter_modules

from bittrue.ops.registry import OPS, evaluate_graph, evaluate_node, op

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["OPS", "evaluate_graph", "evaluate_node", "op"]
