"""`calibration_use_pb`: a prototxt with a data layer and float weights to an INT8 umodel and its prototxts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from bittrue.calibrate import thresholds
from bittrue.calibrate.collect import Statistics, collect
from bittrue.calibrate.distribution import check_storable, read_distribution, storable_methods, write_distribution
from bittrue.calibrate.methods import Parameters, find_method
from bittrue.calibrate.table import CalibrationTable
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import UnsupportedError, UsageError
from bittrue.graph.ir import Graph
from bittrue.graph.rewrites import Rewrites
from bittrue.graph.shaped import ShapedGraphs
from bittrue.vendor.sophgo.arguments import Parsed, warn_on_stderr
from bittrue.vendor.sophgo.calibration import fields
from bittrue.vendor.sophgo.calibration.console import log, log_end, log_layers
from bittrue.vendor.sophgo.calibration.cost import log_cost
from bittrue.vendor.sophgo.calibration.data import DataSource, counted
from bittrue.vendor.sophgo.calibration.float_layers import mark_float_layers
from bittrue.vendor.sophgo.calibration.options import COMMANDS, TOOL
from bittrue.vendor.sophgo.calibration.transform import self_check, transformed
from bittrue.vendor.sophgo.umodel.forms import data_form, deploy_form
from bittrue.vendor.sophgo.umodel.int8 import Quantization, int8_umodel
from bittrue.vendor.sophgo.umodel.network import Network

GRAPH_OPTIONS = ("graph_transform", "fuse_preprocess", "merge_depwise_scale", "merge_scale_to_conv", "accuracy_opt")
SMALLEST = 1e-5


def run(arguments: Sequence[str]) -> int:
    """The tool; returns its exit code."""
    return TOOL.run(arguments, _run)


def _run(options: Parsed) -> None:
    if len(options.words) != 1 or options.words[0] not in COMMANDS:
        raise UsageError(f"{TOOL.name}: exactly one of {', '.join(COMMANDS)} is needed")
    if options["bitwidth"].upper() != "TO_INT8":
        raise UnsupportedError(f"{TOOL.name}: --bitwidth={options['bitwidth']}: only TO_INT8 exists")
    command = options.words[0]
    started = time.monotonic()
    prototxt, weights = Path(options["model"]), Path(options["weights"])
    network = Network.read(prototxt, weights, allow_unknown_fields=options["allow_unknown_fields"])
    source = DataSource.of(network)
    original = data_form(network, {source.blob: source.shape})
    changed = original
    if command == "graph_transform" or any(options[o] for o in GRAPH_OPTIONS):
        defaults = command == "graph_transform" or options["graph_transform"]
        changed = transformed(original, options, all_defaults=defaults)
        for note in changed.notes:
            log(note)
        self_check(original, changed, source, options)
    if command == "graph_transform":
        _write(
            {
                weights.parent / f"{prototxt.name}_optimized": changed.prototxt_text().encode(),
                weights.parent / f"{weights.name}_optimized": changed.float_umodel().SerializeToString(),
            }
        )
        return
    _quantize(changed, source, options, save_test=options["save_test_proto"] or command == "release")
    log_end(time.monotonic() - started)


def _quantize(network: Network, source: DataSource, options: Parsed, *, save_test: bool) -> None:
    """network: the test form to calibrate."""
    fields.check_fields(network)
    deploy = deploy_form(network, {source.blob: source.shape})
    graph = deploy.graph()
    mark_float_layers(deploy, graph, options)
    rewrites = _rewrites(options)
    for note in rewrites.apply(graph):
        log(note)

    def at(shapes: dict[str, tuple[int, ...]]) -> Graph:
        other = deploy_form(network, shapes).graph()
        rewrites.apply(other)
        return other

    table = _calibrated(network, deploy, ShapedGraphs(graph, at), source, options)
    thresholds = dict(table.tensors)
    if options["fold_concat_scale"]:
        thresholds = fields.share_concat_thresholds(deploy, graph, thresholds)
    quantization = Quantization(options["target"], thresholds, table.method, table.samples, rewrites)
    model = quantization.lower(graph, deploy)
    wino = quantization.lower(graph, deploy, winograd=True) if options["winograd"] else None
    if wino:
        log_cost(graph, model, wino, next(iter(source.records(graph, network, 1))))
    log_layers(deploy, graph, model, all_max=options["th_method"] == "MAX")
    stem, folder = network.weight_file.stem, network.weight_file.parent
    files = _prototxts(stem, network, deploy, save_test)
    if options["save_model"]:
        files[f"{stem}.int8umodel"] = int8_umodel(deploy, model, quantization, wino).SerializeToString()
    _write({folder / name: content for name, content in files.items()})


def _prototxts(stem: str, network: Network, deploy: Network, save_test: bool) -> dict[str, bytes]:
    """The prototxts by file name. Of the float ones no layer is marked for float."""
    by_name = {layer.name: layer for layer in deploy.proto.layer}
    forms = {"deploy": deploy} | ({"test": network} if save_test else {})
    files = {}
    for form, net in forms.items():
        for precision in ("fp32", "int8"):
            written = net.copy()
            for layer in written.proto.layer:
                layer.ClearField("forward_with_float")
                if precision == "int8" and layer.name in by_name and by_name[layer.name].forward_with_float:
                    layer.forward_with_float = True
            files[f"{stem}_{form}_{precision}_unique_top.prototxt"] = written.prototxt_text().encode()
    return files


def _rewrites(options: Parsed) -> Rewrites:
    equalize = "powers_of_two" if options["per_channel"] and options["target"] == "BM1684" else ""
    if options["per_channel"] and not equalize:
        log(f"per_channel: convolutions of {options['target']} have a scale per channel anyway")
    return Rewrites(equalize, options["conv_group"], options["pad_value"])


def _calibrated(
    network: Network, deploy: Network, graphs: ShapedGraphs, source: DataSource, options: Parsed
) -> CalibrationTable:
    """Thresholds from the data or from stored statistics, with the fields of the layers."""
    statistics = _statistics(network, deploy, graphs, source, options)
    graph = graphs.graph
    method = options["th_method"].lower()
    table = thresholds(statistics, method)
    for layer in fields.merged_layers(deploy, graph):
        warn_on_stderr(f"layer '{layer.name}' is merged into another; its threshold fields have no effect")
    for name, row in table.tensors.items():
        if row.threshold <= SMALLEST and max(abs(row.min), abs(row.max)) <= SMALLEST:
            warn_on_stderr(f"layer {name} is all zeros")
    divergence = thresholds(statistics, "kl").tensors if fields.want_divergence(deploy, method) else {}
    table.tensors = fields.apply_fields(deploy, graph, table.tensors, method, divergence)
    return table


def _statistics(
    network: Network, deploy: Network, graphs: ShapedGraphs, source: DataSource, options: Parsed
) -> Statistics:
    """What the threshold method needs, and KL for layers that ask for it; with dump_dist all that a file can hold."""
    method = options["th_method"].lower()
    if options["load_dist"]:
        check_storable(method)
        stored = read_distribution(Path(options["load_dist"]), graphs.graph)
        if "th_binnum" in options.given and options["th_binnum"] != stored.parameters.bins:
            raise UsageError(f"--th_binnum={options['th_binnum']}: {options['load_dist']} has {stored.parameters.bins}")
        return stored
    records = source.records(graphs.graph, network, options["iterations"])
    found = counted(records)
    if found < options["iterations"]:
        warn_on_stderr(f"{source.path}: {found} records, {options['iterations']} iterations were asked for")
    parameters = Parameters(bins=options["th_binnum"])
    if not options["dump_dist"]:
        wanted = {method, "kl"} if fields.want_divergence(deploy, method) else {method}
        return collect(graphs, records, [find_method(m) for m in sorted(wanted)], parameters)
    check_storable(method)
    statistics = collect(graphs, records, storable_methods(parameters.variant), parameters)
    write_distribution(Path(options["dump_dist"]), statistics, graphs.graph)
    return statistics


def _write(files: dict[Path, bytes]) -> None:
    """Everything is computed before the first file is written."""
    for path, content in files.items():
        write_atomic(path, content)
        log(f"saved {path}")
