"""`--mode=GenUmodel`: a network as an fp32umodel and its prototxt."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.float_runner import FloatRunner
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError, MismatchError
from bittrue.importers.caffe import CaffeOptions, load_caffe
from bittrue.importers.caffe.net import active_layers
from bittrue.importers.caffe.read import read_caffemodel, read_prototxt
from bittrue.importers.caffe.schema import new_message
from bittrue.vendor.sophgo.compilers.frontends import Shape, Source, load
from bittrue.vendor.sophgo.compilers.log import Log
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.compilers.reference_inputs import reference_inputs
from bittrue.vendor.sophgo.compilers.to_caffe import KEPT_APART, CaffeNet, to_caffe

TOLERANCE = 1e-4  # of the largest value of an output: two float programs of one network


def generate(source: Source, shapes: Mapping[str, Shape], outdir: Path, compare: bool, seed: int, log: Log) -> None:
    """Writes `bm_network_bmnet<x>.fp32umodel` and `bm_network_bmnet<x>_test_fp32.prototxt`.

    compare: the written network must give the float outputs of the model, within 1e-4 of their largest value.
    Raises what loading raises, UnsupportedError that lists all nodes without a Caffe layer, MismatchError, and
    DataError for a folder that cannot be written.
    """
    graph = load(source, shapes, KEPT_APART)
    net = to_caffe(graph) if source.tool == "bmneto" else _read(source, shapes)
    stem = f"bm_network_bmnet{COMPILERS[source.tool].letter}"
    files = {f"{stem}_test_fp32.prototxt": net.text(), f"{stem}.fp32umodel": net.umodel()}
    if compare:
        feeds = reference_inputs(graph, {}, seed)
        with tempfile.TemporaryDirectory() as folder:
            prototxt, umodel = (Path(folder) / name for name in files)
            prototxt.write_bytes(files[prototxt.name])
            umodel.write_bytes(files[umodel.name])
            again = load_caffe(prototxt, input_shapes=shapes, options=CaffeOptions(umodel, allow_unknown_fields=True))
        _compare(FloatRunner(graph).run(feeds), FloatRunner(again).run(feeds), log)
    try:
        outdir.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            write_atomic(outdir / name, data)
            log.line(f"{outdir / name}: written")
    except OSError as e:
        raise DataError(f"{outdir}: cannot be written ({e.strerror or e})") from e


def _compare(expected: Mapping[str, Any], got: Mapping[str, Any], log: Log) -> None:
    for (name, ref), (other, value) in zip(expected.items(), got.items(), strict=True):
        difference = float(np.abs(ref.astype(np.float64) - value.reshape(ref.shape)).max(initial=0))
        largest = float(np.abs(ref).max(initial=0))
        if not difference <= TOLERANCE * max(1.0, largest):
            raise MismatchError(f"output '{name}': the umodel's '{other}' differs by {difference:g} of {largest:g}")
        log.line(f"output '{name}': the umodel's differs by {difference:g} at most")


def _read(source: Source, shapes: Mapping[str, Shape]) -> CaffeNet:
    """The layers of phase TEST with the shapes given to them, and their weights as they are: BatchNorm, Scale and
    Convolution stay apart."""
    proto = read_prototxt(source.model, allow_unknown_fields=source.allow_unknown_fields)
    net = new_message("NetParameter")
    net.name = proto.name
    for name, shape in shapes.items():
        if name in proto.input:
            net.layer.add(name=name, type="Input", top=[name]).input_param.shape.add(dim=shape)
    for layer in active_layers(proto):
        kept = net.layer.add()
        kept.CopyFrom(layer)
        for field in ("include", "exclude", "blobs"):
            kept.ClearField(field)
        if kept.type == "Input":
            del kept.input_param.shape[:]
            for top in kept.top:
                kept.input_param.shape.add(dim=shapes[top])
    assert source.weight
    blobs = read_caffemodel(source.weight)
    return CaffeNet(net, {layer.name: blobs[layer.name] for layer in net.layer if layer.name in blobs})
