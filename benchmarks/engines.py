"""The engines that are measured: ours for each target, onnxruntime on the QDQ form of the same network, and LiteRT with
XNNPACK on its int8 TFLite form. All read their network from a file and take float pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from ai_edge_litert.interpreter import Interpreter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tools.tflite_writer import write_tflite

from benchmarks.tflite_export import nhwc, tflite_ops
from bittrue import api
from bittrue.calibrate.data import Record

TARGETS = ("bm1684", "bm1684x")
PEERS = ("onnxruntime", "litert")
Feeds = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Engine:
    """One loaded network. session: of our engines; the peers have none."""

    name: str
    run: Callable[[], object]
    session: api.Session | None = None


class _OneRecord(CalibrationDataReader):
    def __init__(self, feeds: Feeds) -> None:
        self.records = iter([feeds])

    def get_next(self) -> Feeds | None:
        return next(self.records, None)


def prepare(model: onnx.ModelProto, folder: Path, targets: tuple[str, ...] = TARGETS) -> None:
    """Writes a network in the forms of all engines, and `feeds.npz`. All are calibrated with one random picture."""
    float_path = folder / "float.onnx"
    onnx.save(model, str(float_path))
    graph = api.load_float(float_path)
    rng = np.random.default_rng(1)
    feeds = {n: rng.normal(0, 1, graph.types[n].shape).astype(np.float32) for n in graph.inputs}
    np.savez(folder / "feeds.npz", **feeds)  # type: ignore[arg-type]
    table = api.calibrate(graph, [Record("random", feeds)], method="max")
    for target in targets:
        onnx.save(api.quantize(graph, table.tensors, target).to_onnx(), str(folder / f"{target}.onnx"))
    logging.getLogger().setLevel(logging.ERROR)  # onnxruntime recommends an optimization of float models
    quantize_static(
        str(float_path),
        str(folder / "qdq.onnx"),
        _OneRecord(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    (folder / "int8.tflite").write_bytes(write_tflite(tflite_ops(model, feeds)))


def load(name: str, folder: Path, threads: int) -> Engine:
    """One engine with a network that `prepare` wrote, ready to run."""
    feeds = dict(np.load(folder / "feeds.npz"))
    loaders = {"onnxruntime": _onnxruntime, "litert": _litert}
    return loaders[name](folder, feeds, threads) if name in loaders else _ours(name, folder, feeds, threads)


def _ours(target: str, folder: Path, feeds: Feeds, threads: int) -> Engine:
    session = api.Session(api.load(folder / f"{target}.onnx").graph, threads=threads)
    return Engine(target, lambda: session.run(feeds), session)


def _onnxruntime(folder: Path, feeds: Feeds, threads: int) -> Engine:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(str(folder / "qdq.onnx"), options, providers=["CPUExecutionProvider"])
    return Engine("onnxruntime", lambda: session.run(None, feeds))


def _litert(folder: Path, feeds: Feeds, threads: int) -> Engine:
    interpreter = Interpreter(model_path=str(folder / "int8.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    inputs = [(d["index"], nhwc(feeds[d["name"].removesuffix("/float")])) for d in interpreter.get_input_details()]
    outputs = [d["index"] for d in interpreter.get_output_details()]

    def run() -> object:
        for index, value in inputs:
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return Engine("litert", run)
