"""Editing the layers of a network without in-place results: who reads a blob, taking a layer out."""

from __future__ import annotations

from typing import Any

from bittrue.vendor.sophgo.umodel.network import Network


def producer(network: Network, blob: str) -> Any | None:
    """The layer that writes a blob."""
    return next((layer for layer in network.proto.layer if blob in layer.top), None)


def readers(network: Network, blob: str) -> list[Any]:
    """The layers that read a blob."""
    return [layer for layer in network.proto.layer if blob in layer.bottom]


def only_reader(network: Network, blob: str) -> Any | None:
    """The layer that reads a blob, if it is the only one and reads it once."""
    found = readers(network, blob)
    return found[0] if len(found) == 1 and list(found[0].bottom).count(blob) == 1 else None


def remove(network: Network, layer: Any) -> None:
    """Takes out a layer with one bottom and one top; its readers read its bottom. A top that nothing reads is a result
    of the network: the layer before takes its name."""
    source, result = layer.bottom[0], layer.top[0]
    name = layer.name
    if readers(network, result):
        _rename(network, result, source, "bottom")
    else:
        _rename(network, source, result, "top")
        _rename(network, source, result, "bottom")
    position = next(i for i, other in enumerate(network.proto.layer) if other.name == name)
    del network.proto.layer[position]
    network.weights.pop(name, None)


def _rename(network: Network, old: str, new: str, side: str) -> None:
    for layer in network.proto.layer:
        blobs = getattr(layer, side)
        blobs[:] = [new if b == old else b for b in blobs]
