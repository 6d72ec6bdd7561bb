"""The engines that are measured: ours for each target, and onnxruntime on the QDQ form of the same network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from bittrue import api
from bittrue.calibrate.data import Record
from bittrue.graph.ir import Graph

TARGETS = ("bm1684", "bm1684x")
Feeds = Mapping[str, np.ndarray]


@dataclass
class Engine:
    """One loaded network. `ours` tells our engines from the peers."""

    name: str
    ours: bool
    threads: int
    run: Callable[[], object]
    load_seconds: float


@dataclass
class Prepared:
    """One network in the forms of all engines."""

    quantized: dict[str, Graph]
    qdq: Path
    feeds: Feeds


class _OneRecord(CalibrationDataReader):
    def __init__(self, feeds: Feeds) -> None:
        self.records = iter([feeds])

    def get_next(self) -> Feeds | None:
        return next(self.records, None)


def prepare(model: onnx.ModelProto, folder: Path) -> Prepared:
    """Writes `float.onnx` and `qdq.onnx` into the folder. All engines are calibrated with the same random image."""
    float_path, qdq = folder / "float.onnx", folder / "qdq.onnx"
    onnx.save(model, str(float_path))
    graph = api.load_float(float_path)
    rng = np.random.default_rng(1)
    feeds = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    table = api.calibrate(graph, [Record("random", feeds)], method="max")
    quantized = {target: api.quantize(graph, table.tensors, target).graph for target in TARGETS}
    quantize_static(
        str(float_path),
        str(qdq),
        _OneRecord(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return Prepared(quantized, qdq, feeds)


def engines(prepared: Prepared, threads: int, targets: tuple[str, ...] = TARGETS) -> list[Engine]:
    """All engines, loaded, with the given number of threads."""
    loaded = []
    for target in targets:
        start = time.perf_counter()
        ours = api.Session(prepared.quantized[target], threads=threads)
        seconds = time.perf_counter() - start
        loaded.append(Engine(target, True, threads, lambda s=ours: s.run(prepared.feeds), seconds))
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    start = time.perf_counter()
    peer = ort.InferenceSession(str(prepared.qdq), options, providers=["CPUExecutionProvider"])
    seconds = time.perf_counter() - start
    loaded.append(Engine("onnxruntime", False, threads, lambda: peer.run(None, dict(prepared.feeds)), seconds))
    return loaded
