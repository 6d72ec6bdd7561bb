"""`graph_transform`: the transforms that options ask for, and the check that they leave the float results alone."""

from __future__ import annotations

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.errors import MismatchError
from bittrue.vendor.sophgo.arguments import Parsed
from bittrue.vendor.sophgo.calibration.console import log
from bittrue.vendor.sophgo.calibration.data import DataSource
from bittrue.vendor.sophgo.umodel import transforms
from bittrue.vendor.sophgo.umodel.edit import producer
from bittrue.vendor.sophgo.umodel.layers import check_layers
from bittrue.vendor.sophgo.umodel.network import Network

SAMPLES = 1


def transformed(network: Network, options: Parsed, *, all_defaults: bool) -> Network:
    """A transformed copy of a network in its test form.

    all_defaults: the passes of `graph_transform` without further options. Raises UsageError for unknown layers.
    """
    check_layers(network, options["notmerge_conv_layer"], "notmerge_conv_layer")
    result = network.copy()
    if all_defaults:
        transforms.merge_batch_norm(result)
    if options["merge_depwise_scale"] or options["accuracy_opt"]:
        transforms.merge_scale(result, depthwise_only=True, excluded=options["notmerge_conv_layer"])
    if options["merge_scale_to_conv"]:
        transforms.merge_scale(result, excluded=options["notmerge_conv_layer"])
    if all_defaults or options["fuse_preprocess"]:
        transforms.fold_preprocessing(result, options["pad_value"])
    if all_defaults:
        transforms.drop_unneeded(result)
    return result


def self_check(before: Network, after: Network, source: DataSource, options: Parsed) -> float:
    """Largest absolute difference of the float results of two forms of a network.

    Raises MismatchError, after the vendor's two lines, if it is above `fp32_diff`.
    """
    random = options["random_input_compare"] and not options["use_data_compare"]
    shapes = {source.blob: source.shape}
    graphs = [n.graph(shapes) for n in (before, after)]
    runners = [FloatRunner(g) for g in graphs]
    worst, blob = 0.0, graphs[0].outputs[0]
    for raw in source.raw(random, SAMPLES):
        feeds = [source.transformed(raw, n, "self check") for n in (before, after)]
        filled = [np.ascontiguousarray(np.broadcast_to(f[:1], source.shape)) for f in feeds]
        results = [r.run({source.blob: f}) for r, f in zip(runners, filled, strict=True)]
        for name, value in results[0].items():
            difference = float(np.abs(value - results[1][name]).max(initial=0))
            if not difference <= worst:
                worst, blob = difference, name
    number = [o for layer in before.proto.layer for o in layer.top].index(blob)
    log(f"max diff = {worst:g} max diff blob id :{number} blob name: {blob}")
    if not worst <= options["fp32_diff"]:
        log("Fail: only one compare!")
        writer = producer(before, blob)
        layer = f"layer '{writer.name}' ({writer.type}): " if writer else ""
        raise MismatchError(
            f"{before.prototxt}: {layer}the transformed network differs by {worst:g} in '{blob}', "
            f"{options['fp32_diff']:g} is allowed (--fp32_diff)"
        )
    return worst
