"""`--mode=GenUmodel`: a network as an fp32umodel and its prototxt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError, MismatchError, UnsupportedError
from bittrue.importers.onnx import one_line
from bittrue.vendor.sophgo.compilers.frontends import Shape, Source, load
from bittrue.vendor.sophgo.compilers.log import Log
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.compilers.reference_inputs import reference_inputs
from bittrue.vendor.sophgo.compilers.to_caffe import KEPT_APART, to_caffe
from bittrue.vendor.sophgo.umodel import Network

TOLERANCE = 1e-4  # of the largest value of an output: two float programs of one network


def generate(source: Source, shapes: Mapping[str, Shape], outdir: Path, compare: bool, seed: int, log: Log) -> None:
    """Writes `bm_network_bmnet<x>.fp32umodel` and `bm_network_bmnet<x>_test_fp32.prototxt`.

    compare: the written network must give the float outputs of the model, within 1e-4 of their largest value.
    Raises what loading raises, UnsupportedError that lists all nodes without a Caffe layer, MismatchError, and
    DataError for a folder that cannot be written.
    """
    net = network_of(source, shapes)
    stem = f"bm_network_bmnet{COMPILERS[source.tool].letter}"
    files = {
        f"{stem}_test_fp32.prototxt": net.prototxt_text().encode(),
        f"{stem}.fp32umodel": net.float_umodel().SerializeToString(deterministic=True),
    }
    if compare:
        compare_with_model(source, net, shapes, seed, log)
    write_files(outdir, files, log)


def network_of(source: Source, shapes: Mapping[str, Shape]) -> Network:
    """A model as layers of Caffe. Raises what loading raises, UnsupportedError that lists all nodes without a Caffe
    layer."""
    onnx = source.tool == "bmneto"
    net = to_caffe(load(source, shapes, KEPT_APART), source.model) if onnx else _read(source, shapes)
    if not net.weights:
        raise UnsupportedError(f"{source.model}: no layer has weights, which are what a umodel holds")
    return net


def compare_with_model(source: Source, net: Network, shapes: Mapping[str, Shape], seed: int, log: Log) -> None:
    """Raises MismatchError if the network's float outputs are not the model's, within 1e-4 of their largest value."""
    graph = load(source, shapes)
    feeds = reference_inputs(graph, {}, seed)
    again = net.graph(shapes)
    try:
        values, others = FloatRunner(graph).run(feeds), FloatRunner(again).run(feeds)
    except Exception as e:  # onnxruntime's errors have no common base
        raise DataError(f"{source.model}: does not run at these shapes ({one_line(e)})") from e
    _compare(values, others, log)


def write_files(outdir: Path, files: Mapping[str, bytes], log: Log) -> None:
    """Raises DataError for a folder that cannot be written."""
    try:
        outdir.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomic(outdir / name, data)
            log.line(f"{outdir / name}: written")
    except OSError as e:
        raise DataError(f"{outdir}: cannot be written ({e.strerror or e})") from e


def _compare(expected: Mapping[str, Any], got: Mapping[str, Any], log: Log) -> None:
    for name, ref in expected.items():
        difference = float(np.abs(ref.astype(np.float64) - got[name].reshape(ref.shape)).max(initial=0))
        largest = float(np.abs(ref).max(initial=0))
        if not difference <= TOLERANCE * max(1.0, largest):
            raise MismatchError(
                f"output '{name}' of the umodel differs by {difference:g}, its largest value is {largest:g}"
            )
        log.line(f"output '{name}': the umodel's differs by {difference:g} at most")


def _read(source: Source, shapes: Mapping[str, Shape]) -> Network:
    """The layers of phase TEST with the shapes given to their inputs, and their weights as they are: BatchNorm, Scale
    and Convolution stay apart."""
    assert source.weight
    net = Network.read(source.model, source.weight, allow_unknown_fields=source.allow_unknown_fields)
    proto = net.proto
    written = {top for layer in proto.layer for top in layer.top}
    for field in ("input", "input_dim", "input_shape"):
        proto.ClearField(field)
    for name, shape in shapes.items():
        if name not in written:
            proto.input.append(name)
            proto.input_shape.add(dim=shape)
    for layer in proto.layer:
        if layer.type == "Input":
            own = [tuple(s.dim) for s in layer.input_param.shape] or [()]
            layer.input_param.ClearField("shape")
            for k, top in enumerate(layer.top):
                layer.input_param.shape.add(dim=shapes.get(top, own[min(k, len(own) - 1)]))
    return net
