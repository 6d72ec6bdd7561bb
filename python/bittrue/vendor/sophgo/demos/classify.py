"""`classify_demo`: top-k before and after quantization, and the pictures whose class changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bittrue.audit.classify import Classification, classify
from bittrue.audit.labels import FileLabels, Labelled
from bittrue.audit.networks import float_network
from bittrue.calibrate.data import Record, Records
from bittrue.calibrate.layer_data import LayerData
from bittrue.containers.lmdb_folder import LmdbFolder, is_lmdb
from bittrue.errors import DataError, UsageError
from bittrue.importers.caffe.data_layer import TYPES, data_layer_of
from bittrue.importers.caffe.net import active_layers
from bittrue.importers.caffe.read import read_prototxt
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool, parse_names
from bittrue.vendor.sophgo.demos import CLASSIFY
from bittrue.vendor.sophgo.demos.networks import (
    PICTURE_OPTIONS,
    compiled_network,
    float_graph,
    picture_options,
    umodel_networks,
)

LISTED = 20
PICTURE_NAMES = {o.name for o in PICTURE_OPTIONS}
TOOL = Tool(
    CLASSIFY,
    "Top-k of a classifier in float and INT8 on labelled data, and how many pictures change their class.",
    (
        Option("model", "path", "Prototxt of the float network, or another float model", required=True),
        Option("weights", "path", "Its caffemodel or float umodel"),
        Option("int8model", "path", "Prototxt of the INT8 network, or a compiled model", required=True),
        Option("int8weights", "path", "Its INT8 umodel; a compiled model has none"),
        Option("data", "path", "LMDB, pictures, .npz or a list of `PATH LABEL` lines", required=True),
        Option("labels", "path", "`NAME LABEL` lines or one label a line; default: the labels of the data"),
        Option("topk", "text", "Which k, separated by commas", "1,5"),
        Option("iterations", "int", "Use only the first records"),
        *PICTURE_OPTIONS,
    ),
    f"{CLASSIFY} --model net_test_fp32_unique_top.prototxt --weights net.caffemodel"
    " --int8model net_deploy_int8_unique_top.prototxt --int8weights net.int8umodel --data lmdb",
)


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    counted = _topk(options["topk"])
    labels = FileLabels(Path(options["labels"])) if options["labels"] else None
    model, int8model, data = (Path(options[name]) for name in ("model", "int8model", "data"))
    stored = _stored(model, data)
    shapes = {stored.layer.blob: stored.shape()[0]} if stored else None
    graph = float_graph(model, Path(options["weights"]) if options["weights"] else None, shapes)
    if options["int8weights"]:
        _, quantized = umodel_networks(int8model, Path(options["int8weights"]), shapes)
    else:
        quantized = compiled_network(int8model, graph)
    records: Iterable[Record]
    if stored and not options.given & PICTURE_NAMES:
        records = stored.records(graph, options["iterations"])
    else:
        records = Records(graph, data, picture_options(options), options["iterations"])
    if labels:
        records = Labelled(records, labels)
    result = classify(float_network(graph, "fp32"), quantized, records, counted)
    if not result.labelled:
        raise DataError(f"{options['data']}: has no labels; give --labels")
    print("\n".join(report(result)))


def report(result: Classification) -> list[str]:
    """The lines of the demo."""
    lines = [
        f"top-{r.k}: fp32 {r.share('float'):.4f}, int8 {r.share('quantized'):.4f}, difference {0 - r.drop:+.4f}"
        for r in result.rates
    ]
    lines.append(f"flipped {result.flips} of {result.samples} pictures")
    lines += [f"  {f['key']}: label {f['label']}, {f['float']} -> {f['quantized']}" for f in result.flipped[:LISTED]]
    more = result.flips - LISTED
    return [*lines, f"  ... {more} more"] if more > 0 else lines


def _topk(text: str) -> list[int]:
    names = parse_names(text)
    if not names or not all(n.isdecimal() and int(n) for n in names):
        raise UsageError(f"{TOOL.name}: --topk={text}: whole numbers from 1, separated by commas, are needed")
    return [int(n) for n in names]


def _stored(model: Path, data: Path) -> LayerData | None:
    """What the data layer of a prototxt makes of the records of an LMDB; None for other data and without a data
    layer."""
    if not is_lmdb(data) or model.suffix.lower() != ".prototxt":
        return None
    layers = active_layers(read_prototxt(model))
    if not any(layer.type in TYPES for layer in layers):
        return None
    return LayerData.of(data_layer_of(layers, model, LmdbFolder(data)))
