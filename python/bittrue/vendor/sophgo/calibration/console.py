"""The lines that the vendor's calibrator prints, which scripts look for."""

from __future__ import annotations

import os
import sys
from datetime import datetime

from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.vendor.sophgo.umodel.layers import nodes_of_layers
from bittrue.vendor.sophgo.umodel.network import Network

SHAPE_LAYERS = {"Reshape", "Flatten", "Permute", "Split", "Slice", "Crop", "Tile"}
USE_MAX = 2
WHERE = "calibration.cpp:1"  # glog names the place in the source; scripts look for the shape of the line only


def log(text: str) -> None:
    """One line in glog's form."""
    now = datetime.now()
    print(f"I{now:%m%d} {now:%H:%M:%S.%f} {os.getpid():5d} {WHERE}] {text}", file=sys.stderr)


def log_layers(network: Network, graph: Graph, model: QuantizedModel, *, all_max: bool) -> None:
    """What was decided for every layer."""
    for number, layer in enumerate(network.proto.layer):
        if layer.type == "Input":
            continue
        nodes = nodes_of_layers(graph, network, [layer.name])
        # forms that a rule made for its own use come after the node itself
        outputs = [o for n in model.graph.nodes if n.name in nodes for o in n.outputs]
        in_float = all(model.graph.types[o].dtype == "float32" for o in outputs)
        log(f"calibration for layer = {layer.name}")
        log(f" id={number} type:{layer.type} ...")
        for i, bottom in enumerate(layer.bottom):
            log(f" intput {i}: set_scaleconvertbacktofloat_input_mul ={_scale(model, bottom)}")
        for i, top in enumerate(layer.top):
            log(f" output {i} set_scaleconvertbacktofloat_output_mul ={_scale(model, top)}")
        log(f" forward_with_float = {int(layer.forward_with_float)}")
        log(f" output_is_float = {int(in_float)}")
        log(f" is_shape_layer  = {int(layer.type in SHAPE_LAYERS)}")
        log(f" use_max_as_th ={int(all_max or layer.th_strategy == USE_MAX)}")


def _scale(model: QuantizedModel, blob: str) -> str:
    """Scale of a blob with six digits: of its quantized form, whichever name it has; 1 if it is only in float."""
    record = model.tensors.get(blob) or model.tensors.get(f"{blob}/int8")
    return f"{record.scale if record else 1:.6g}"


def log_end(seconds: float) -> None:
    """The two closing lines."""
    whole = int(seconds)
    log(f"used time={whole // 3600} hour:{whole // 60 % 60} min:{whole % 60} sec")
    log("int8 calibration done.")
