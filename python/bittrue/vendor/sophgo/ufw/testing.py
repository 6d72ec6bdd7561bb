"""`ufw test_fp32` and `ufw test_int8`: the accuracies of a test prototxt over its data; and the dump of all blobs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.audit.errors import as_rows
from bittrue.audit.topk import better_scores
from bittrue.containers.context_dir import save_npz
from bittrue.errors import DataError, UsageError
from bittrue.vendor.sophgo.arguments import Option, Parsed, Tool
from bittrue.vendor.sophgo.calibration.data import DataSource
from bittrue.vendor.sophgo.ufw.net import FP32, INT8, BlobNet
from bittrue.vendor.sophgo.umodel import is_int8_umodel

Array = np.ndarray[Any, Any]
COMMANDS = {"test_fp32": FP32, "test_int8": INT8}
TOOL = Tool(
    "ufw",
    "Accuracy layers of a test prototxt over its data, in float or INT8.",
    (
        Option("model", "path", "test prototxt, with data layer", required=True),
        Option("weights", "path", "umodel; INT8 for test_int8", required=True),
        Option("iterations", "int", "batches", 50),
    ),
    "ufw test_int8 -model=net_test_int8_unique_top.prototxt -weights=net.int8umodel -iterations=200",
    ("test_fp32|test_int8",),
)
DUMP = Tool(
    "dump_tensor_data_use_pb",
    "All blobs of some batches of a test prototxt as .npz beside it: <prototxt>_<batch>.npz.",
    (),
    "dump_tensor_data_use_pb net_test_int8_unique_top.prototxt net.int8umodel 3 CPU",
    ("prototxt", "umodel", "batches", "CPU"),
)


def run(arguments: Sequence[str]) -> int:
    """`ufw`; returns its exit code."""
    return TOOL.run(arguments, _run)


def run_dump(arguments: Sequence[str]) -> int:
    """`dump_tensor_data_use_pb`; returns its exit code."""
    return DUMP.run(arguments, _dump)


def in_top(scores: Array, labels: Array, parameter: Any) -> Array:
    """Which of the samples an Accuracy layer counts as right; those with the label to ignore are left out."""
    rows, labels = as_rows(scores), np.asarray(labels, np.int64).ravel()
    if parameter.HasField("ignore_label"):
        kept = labels != parameter.ignore_label
        rows, labels = rows[kept], labels[kept]
    right: Array = better_scores(rows, labels) < parameter.top_k
    return right


def cross_entropy(scores: Array, labels: Array) -> float:
    """What a SoftmaxWithLoss layer computes: mean of -log softmax at the label."""
    rows = as_rows(scores).astype(np.float64)
    rows = rows - rows.max(1, keepdims=True)
    logarithms = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    return float(-logarithms[np.arange(len(rows)), np.asarray(labels, np.int64).ravel()].mean())


def _run(options: Parsed) -> None:
    if len(options.words) != 1 or options.words[0] not in COMMANDS:
        raise UsageError(f"{TOOL.name}: one of {', '.join(COMMANDS)} is needed")
    net = BlobNet(Path(options["model"]), Path(options["weights"]), COMMANDS[options.words[0]])
    layers = [n for n in net.network.proto.layer if n.type == "Accuracy"]
    if not layers:
        raise DataError(f"{options['model']}: the network has no Accuracy layer")
    losses = [n for n in net.network.proto.layer if n.type == "SoftmaxWithLoss"]
    source = DataSource.of(net.network)
    graph = net.network.graph({source.blob: source.shape})
    found: dict[str, list[Array]] = {layer.name: [] for layer in layers}
    for i, record in enumerate(source.records(graph, net.network, options["iterations"])):
        if record.labels is None:
            raise DataError(f"{source.path}: record '{record.key}' has no label")
        blobs = net.run(record.feeds)
        for layer in layers:
            scores = net.blob(blobs, layer.bottom[0])
            found[layer.name].append(in_top(scores, record.labels, layer.accuracy_param))
            print(f"Batch {i}, {layer.top[0]} = {_mean(found[layer.name][-1:]):g}")
        loss = sum(cross_entropy(net.blob(blobs, n.bottom[0]), record.labels) for n in losses)
        print(f"Batch {i} Finished\nLoss: {loss:g}")
    for layer in layers:
        mean = _mean(found[layer.name])
        print(f"{layer.top[0]} = {mean:g}\nmean score of {layer.name}-{layer.top[0]} is {mean:g}")


def _mean(right: Sequence[Array]) -> float:
    samples = np.concatenate(right) if right else np.zeros(0)
    return float(samples.mean()) if samples.size else 0.0


def _dump(options: Parsed) -> None:
    if len(options.words) not in (3, 4) or not options.words[2].isdecimal():
        raise UsageError(f"{DUMP.name}: a prototxt, a umodel and a number of batches are needed")
    if len(options.words) == 4 and options.words[3].upper() != "CPU":
        raise UsageError(f"{DUMP.name}: '{options.words[3]}': only CPU exists")
    prototxt, umodel = (Path(w) for w in options.words[:2])
    net = BlobNet(prototxt, umodel, INT8 if is_int8_umodel(umodel) else FP32)
    source = DataSource.of(net.network)
    graph = net.network.graph({source.blob: source.shape})
    records = source.records(graph, net.network, int(options.words[2]))
    for i, record in enumerate(islice(records, int(options.words[2]))):
        path = prototxt.with_name(f"{prototxt.name}_{i}.npz")
        save_npz(path, net.run(record.feeds))
        print(path)
