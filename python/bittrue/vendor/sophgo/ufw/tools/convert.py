"""A model of another framework as fp32umodel and test prototxt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bittrue.calibrate.transform import Transform
from bittrue.containers.lmdb_folder import is_lmdb, read_lmdb
from bittrue.errors import DataError, UnsupportedError
from bittrue.importers.caffe.data_layer import TYPES
from bittrue.importers.caffe.net import INPUT_TYPES
from bittrue.importers.caffe.schema import new_message
from bittrue.vendor.sophgo.arguments import Parsed
from bittrue.vendor.sophgo.compilers.frontends import FRONTENDS, Shape, Source, resolve_shapes
from bittrue.vendor.sophgo.compilers.generate import compare_with_model, network_of, write_files
from bittrue.vendor.sophgo.compilers.log import Log
from bittrue.vendor.sophgo.compilers.options import COMPILERS
from bittrue.vendor.sophgo.ufw.tools.options import WITHOUT_FRONTEND, tool
from bittrue.vendor.sophgo.umodel.network import Network

COMPILER_OF = {"cf_to_umodel": "bmnetc", "on_to_umodel": "bmneto"}
TEST, LMDB = 1, 1


def convert(name: str, arguments: Sequence[str]) -> int:
    """One of the tools; returns its exit code. Raises UnsupportedError for a framework without a frontend."""
    if name in WITHOUT_FRONTEND:
        raise UnsupportedError(f"{name}: no frontend for {WITHOUT_FRONTEND[name]}; Caffe and ONNX have one")
    return tool(name).run(arguments, lambda options: _convert(name, options))


def _convert(name: str, options: Parsed) -> None:
    log = Log(name)
    source = Source(
        COMPILER_OF[name],
        Path(options["m"]),
        Path(options["w"]) if options.values.get("w") else None,
        input_names=tuple(options["i"] or ()),
        output_names=tuple(options["o"] or ()),
        allow_unknown_fields=options["allow_unknown_fields"],
    )
    shapes = resolve_shapes(FRONTENDS[source.tool].inputs(source), options["s"] or [], False, None)
    net = network_of(source, shapes)
    if options["cmp"]:
        compare_with_model(source, net, shapes, options["seed"], log)
    if options["D"]:
        chosen = None if options["no-transform"] or not options["p"] else preset(options["p"])
        set_data(net, Path(options["D"]), shapes, chosen)
    if options["a"]:
        add_accuracies(net)
    stem = f"{options['n'] or source.model.stem}_bmnet{COMPILERS[source.tool].letter}"
    files = {
        f"{stem}_test_fp32.prototxt": net.prototxt_text().encode(),
        f"{stem}.fp32umodel": net.float_umodel().SerializeToString(deterministic=True),
    }
    write_files(Path(options["d"]), files, log)


def preset(name: str) -> Any:
    """A TransformationParameter of the named preprocessing. What the names stand for was never published [assumed]."""
    parameter = new_message("TransformationParameter")
    if name in ("VGG", "SSD_V"):
        parameter.mean_value.extend([104, 117, 123])  # of blue, green, red
    else:  # red, green, blue of a set that is stored the other way round
        op = parameter.transform_op.add(op=2, scale=0.0078125, bgr2rgb=True)
        op.mean_value.append(128)
    return parameter


def set_data(net: Network, lmdb: Path, shapes: dict[str, Shape], preprocessing: Any | None) -> None:
    """The input comes from an LMDB, a record of which is a batch. preprocessing: TransformationParameter of an input
    that had no data layer.

    Raises DataError for an LMDB that is not there or whose records do not fit, UnsupportedError for several inputs.
    """
    if not is_lmdb(lmdb):
        raise DataError(f"{lmdb}: no LMDB")
    layer = next((n for n in net.proto.layer if n.type in TYPES), None)
    if layer is None:
        layer = _new_data_layer(net)
        if preprocessing is not None:
            layer.transform_param.CopyFrom(preprocessing)
    layer.data_param.source, layer.data_param.batch_size, layer.data_param.backend = str(lmdb), 0, LMDB
    wanted = shapes[layer.top[0]]
    key, sample = next(iter(read_lmdb(lmdb)), ("", None))
    if sample is None:
        raise DataError(f"{lmdb}: holds no records")
    array = Transform(layer.transform_param, net.prototxt.parent)(sample.array)
    if array.shape[-3:] != tuple(wanted[-3:]):
        raise DataError(
            f"{lmdb}: record '{key}' gives {list(array.shape[-3:])}, '{layer.top[0]}' needs {list(wanted[-3:])}"
        )


def _new_data_layer(net: Network) -> Any:
    """A Data layer in place of the only input."""
    inputs = list(net.proto.input) + [t for n in net.proto.layer if n.type in INPUT_TYPES for t in n.top]
    if len(inputs) != 1:
        raise UnsupportedError(f"{net.prototxt}: a data layer feeds one input, the network has {len(inputs)}")
    kept = [n for n in net.proto.layer if n.type not in INPUT_TYPES]
    for field in ("input", "input_dim", "input_shape"):
        net.proto.ClearField(field)
    first = new_message("LayerParameter")
    first.name, first.type = inputs[0], "Data"
    first.top.extend([inputs[0], "label"])
    first.include.add(phase=TEST)
    net.proto.ClearField("layer")
    net.proto.layer.extend([first, *kept])
    return net.proto.layer[0]


def add_accuracies(net: Network) -> None:
    """Top-1 and top-5 of the last result. Raises DataError for a network without labels."""
    if not any("label" in n.top for n in net.proto.layer):
        raise DataError(f"{net.prototxt}: -a needs labels, which a data layer gives (-D)")
    read = {b for n in net.proto.layer for b in n.bottom}
    scores = [t for n in net.proto.layer if n.type not in INPUT_TYPES for t in n.top if t not in read][-1]
    for k in (1, 5):
        layer = net.proto.layer.add(
            name=f"accuracy{k}", type="Accuracy", bottom=[scores, "label"], top=[f"acc/top-{k}"]
        )
        layer.accuracy_param.top_k = k
        layer.include.add(phase=TEST)
