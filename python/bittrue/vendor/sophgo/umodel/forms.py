"""The two forms of a network whose every result has a blob name of its own (`unique_top`): with its data layer,
accuracies and losses (`test`), and with plain inputs and nothing else (`deploy`)."""

from __future__ import annotations

from collections.abc import Mapping

from bittrue.importers.caffe.net import DROPPED_TYPES, INPUT_TYPES, read_net
from bittrue.importers.caffe.schema import new_message
from bittrue.vendor.sophgo.umodel.network import Network

Shapes = Mapping[str, tuple[int, ...]]
UNREAD = {"Silence"}


def data_form(network: Network, shapes: Shapes) -> Network:
    """Every layer kept, no blob written twice: names as the importer gives them (`bittrue.importers.caffe.net`).

    shapes: of the inputs whose shape the prototxt does not state. Raises DataError for contradicting layers.
    """
    resolved = iter(read_net(network.proto, dict(shapes)).layers)
    result = network.copy()
    current: dict[str, str] = {}
    for layer in result.proto.layer:
        if layer.type in INPUT_TYPES:
            continue
        computed = next(resolved) if layer.type not in DROPPED_TYPES | UNREAD else None
        bottoms = computed.bottoms if computed else [current.get(b, b) for b in layer.bottom]
        tops = computed.tops if computed else list(layer.top)
        current |= dict(zip(layer.top, tops, strict=True))
        layer.bottom[:], layer.top[:] = bottoms, tops
    return result


def deploy_form(network: Network, shapes: Shapes) -> Network:
    """Only what computes, with an Input layer for every input.

    network: its test form. shapes: of the inputs whose shape the prototxt does not state.
    """
    net = read_net(network.proto, dict(shapes))
    result = network.copy()
    proto = new_message("NetParameter")
    proto.name = network.proto.name
    for name, shape in net.inputs.items():
        layer = proto.layer.add(name=name, type="Input", top=[name])
        layer.input_param.shape.add(dim=shape or shapes[name])
    for computed in net.layers:
        layer = proto.layer.add()
        layer.CopyFrom(computed.proto)
        layer.bottom[:], layer.top[:] = computed.bottoms, computed.tops
        layer.ClearField("include")
        layer.ClearField("exclude")
    result.proto = proto
    names = {layer.name for layer in proto.layer}
    result.weights = {n: b for n, b in result.weights.items() if n in names}
    return result
