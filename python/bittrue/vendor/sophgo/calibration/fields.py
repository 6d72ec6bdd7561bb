"""Per-layer fields of the prototxt that the calibrator reads: `threshold`, `th_scale`, `th_strategy`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bittrue.calibrate.table import Threshold
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.vendor.sophgo.umodel.layers import outputs_of_layer
from bittrue.vendor.sophgo.umodel.network import Network

DIVERGENCES = ("kl", "symkl", "jsd")
USE_KL, USE_MAX = 1, 2
Table = dict[str, Threshold]


def check_fields(network: Network) -> None:
    """Raises DataError with the line of the prototxt for a threshold or a factor that is no positive number."""
    for layer in network.proto.layer:
        for key in ("threshold", "th_scale"):
            value = getattr(layer, key)
            if layer.HasField(key) and not (value > 0 and math.isfinite(value)):
                where = _line(network.prototxt, layer.name, key)
                raise DataError(
                    f"{network.prototxt}{where}: layer '{layer.name}': {key} {value:g}: a positive number is needed"
                )


def _line(prototxt: Path, layer: str, key: str) -> str:
    """`:LINE` of a field of a layer: the first such field after the layer's name."""
    seen = False
    for number, text in enumerate(prototxt.read_text().splitlines(), 1):
        seen = seen or re.search(rf"""\bname\s*:\s*["']{re.escape(layer)}["']""", text) is not None
        if seen and re.search(rf"\b{key}\s*:", text):
            return f":{number}"
    return ""


def want_divergence(network: Network, method: str) -> bool:
    """Whether a layer asks for a divergence where the method of all is none."""
    return method not in DIVERGENCES and any(n.th_strategy == USE_KL for n in network.proto.layer)


def apply_fields(
    network: Network, graph: Graph, computed: Mapping[str, Threshold], method: str, divergence: Mapping[str, Threshold]
) -> Table:
    """Thresholds with the fields of the layers: a fixed `threshold`; else that of the strategy, times `th_scale`.

    method: that of `computed`. divergence: thresholds by KL, for layers that want them where `method` is no divergence
    itself. Fields of a layer act on the results of the nodes that compute it; of layers that share a node
    the last one counts.
    """
    table = dict(computed)
    for layer in network.proto.layer:
        if not (layer.HasField("threshold") or layer.HasField("th_scale") or layer.th_strategy):
            continue
        for tensor in outputs_of_layer(graph, network, layer.name):
            if tensor not in computed:
                continue
            row = computed[tensor]
            if layer.th_strategy == USE_MAX:
                row = replace(row, threshold=max(abs(row.min), abs(row.max)), method="max")
            elif layer.th_strategy == USE_KL and method not in DIVERGENCES:
                row = divergence[tensor]
            row = replace(row, threshold=row.threshold * layer.th_scale)
            if layer.HasField("threshold"):
                row = replace(row, threshold=layer.threshold)
            table[tensor] = replace(row, source="prototxt")
    return table


def share_concat_thresholds(network: Network, graph: Graph, table: Table) -> Table:
    """Scale layers whose result only a Concat reads take the threshold of the Concat: the difference goes into their
    coefficients, and the Concat copies."""
    result = dict(table)
    readers = graph.consumers()
    for layer in network.proto.layer:
        if layer.type != "Scale":
            continue
        for tensor in outputs_of_layer(graph, network, layer.name):
            following = readers.get(tensor, [])
            if len(following) == 1 and following[0].op == "Concat" and following[0].outputs[0] in table:
                top = table[following[0].outputs[0]].threshold
                result[tensor] = replace(table[tensor], threshold=top, source="fold_concat_scale")
    return result


def merged_layers(network: Network, graph: Graph) -> list[Any]:
    """Layers with fields that no node computes any more; their fields act on nothing."""
    return [
        layer
        for layer in network.proto.layer
        if (layer.HasField("threshold") or layer.HasField("th_scale") or layer.th_strategy)
        and not outputs_of_layer(graph, network, layer.name)
    ]
