"""Statistics in a file (`bittrue-dist/1`), so that thresholds by other methods need no data, and parts of a data set
can be collected apart and merged.

An .npz: `meta` (JSON: parameters, methods, records, digests of every layer and of the weights) and for tensor i
`i/scalars` (float64: n, min, max, width of the bins, whether top is complete), `i/hist` (int64), `i/top` (float32) and
`i/records` (float64: methods with a number for every record, by records) and `i/sizes` (int64: elements of those
records). The vendor's own layout is unpublished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.calibrate.collect import Statistics
from bittrue.calibrate.methods import METHODS, Method, Parameters, find_method
from bittrue.calibrate.statistics import TensorStatistics
from bittrue.containers.context_dir import save_npz
from bittrue.errors import DataError, UsageError
from bittrue.graph.ir import Graph

SCHEMA = "bittrue-dist/1"
# ADMM works on raw samples, as the vendor's manual says; the grid sweeps every record a hundred times.
NEEDS_RAW = ("admm", "mse_grid")
Array = np.ndarray[Any, Any]


def check_storable(method: str) -> None:
    """Raises UsageError for a method that needs raw values."""
    if find_method(method).name in NEEDS_RAW:
        raise UsageError(f"{method} needs the values themselves; statistics in a file cannot take their place")


def storable_methods(variant: str) -> list[Method]:
    """What a file is collected for: every method that has the variant, but those that need raw values."""
    return [m for name, m in METHODS.items() if name not in NEEDS_RAW and m.has_variant(variant)]


def layer_digests(graph: Graph) -> list[tuple[str, str]]:
    """(name, digest of op, tensors and shapes) of every node; independent of weights."""
    rows = []
    for node in graph.nodes:
        tensors = [t for t in (*node.inputs, *node.outputs) if t]
        facts = [node.op, tensors, [list(graph.types[t].shape) for t in tensors]]
        rows.append((node.name, hashlib.sha256(json.dumps(facts).encode()).hexdigest()))
    return rows


def constants_digest(graph: Graph) -> str:
    """Of all weights, as the passes and rewrites left them."""
    digest = hashlib.sha256()
    for name, value in graph.constants.items():
        digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def write_distribution(path: Path, statistics: Statistics, graph: Graph) -> None:
    """Writes the statistics of a graph under a temporary name, then renames the file."""
    recorded = [m for m in statistics.methods if METHODS[m].record is not None]
    meta = {
        "schema": SCHEMA,
        "weights": constants_digest(graph),
        "layers": layer_digests(graph),
        "parameters": asdict(statistics.parameters),
        "methods": statistics.methods,
        "recorded": recorded,
        "records": statistics.records,
        "tensors": list(statistics.tensors),
    }
    arrays: dict[str, Array] = {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
    for i, s in enumerate(statistics.tensors.values()):
        arrays[f"{i}/scalars"] = np.asarray([s.n, s.min, s.max, s.width, s.top_complete], np.float64)
        arrays[f"{i}/hist"], arrays[f"{i}/top"] = s.hist, s.top
        arrays[f"{i}/sizes"] = np.asarray(s.record_sizes, np.int64)
        arrays[f"{i}/records"] = np.asarray([s.per_record.get(m, []) for m in recorded], np.float64)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_npz(path, arrays)


def read_distribution(path: Path, graph: Graph) -> Statistics:
    """Statistics of a file. Raises DataError for files that are broken or of another network, naming the first layer
    that differs."""
    try:
        with np.load(path) as archive:
            meta = json.loads(archive["meta"].tobytes())
            if meta["schema"] != SCHEMA:
                raise DataError(f"{path}: schema '{meta['schema']}', expected '{SCHEMA}'")
            _check_network(path, meta, graph)
            tensors = {}
            for i, name in enumerate(meta["tensors"]):
                n, low, high, width, complete = archive[f"{i}/scalars"].tolist()
                rows = archive[f"{i}/records"]
                tensors[name] = TensorStatistics(
                    name, int(n), low, high, len(meta["records"]), archive[f"{i}/hist"], width, archive[f"{i}/top"],
                    bool(complete), {m: rows[k].tolist() for k, m in enumerate(meta["recorded"])},
                    archive[f"{i}/sizes"].tolist(),
                )  # fmt: skip
            records = [(key, digest) for key, digest in meta["records"]]
            return Statistics(tensors, Parameters(**meta["parameters"]), meta["methods"], records)
    except DataError:
        raise
    except Exception as e:  # numpy, zipfile, zlib and json raise unrelated types
        raise DataError(f"{path}: not a file of statistics ({type(e).__name__}: {e})") from e


def _check_network(path: Path, meta: dict[str, Any], graph: Graph) -> None:
    stored, here = [tuple(row) for row in meta["layers"]], layer_digests(graph)
    for a, b in zip(stored, here, strict=False):
        if a != b:
            raise DataError(f"{path}: statistics of another network: layer '{b[0]}' differs from its '{a[0]}'")
    if len(stored) != len(here):
        raise DataError(f"{path}: statistics of another network: {len(stored)} layers, this one has {len(here)}")
    if meta["weights"] != constants_digest(graph):
        raise DataError(f"{path}: statistics of this network with other weights")


def merge_distributions(paths: Sequence[Path], parts: Sequence[Statistics]) -> Statistics:
    """Statistics of all records of several parts, as if collected at once.

    Raises DataError for parts that share a record, or whose histograms cannot be added: only those of one pass can,
    whatever their ranges; others need the same range.
    """
    merged = replace(parts[0], tensors={n: replace(s) for n, s in parts[0].tensors.items()})
    for path, part in zip(paths[1:], parts[1:], strict=True):
        if part.parameters != merged.parameters:
            raise DataError(f"{path}: collected with other parameters than {paths[0]}")
        known = {digest for _, digest in merged.records}
        if twice := [key for key, digest in part.records if digest in known]:
            raise DataError(f"{path}: record '{twice[0]}' is in {paths[0]} already")
        for name, s in part.tensors.items():
            _add(path, merged.tensors[name], s, merged.parameters)
        merged.records = [*merged.records, *part.records]
        merged.methods = [m for m in merged.methods if m in part.methods]
    return merged


def _add(path: Path, into: TensorStatistics, s: TensorStatistics, parameters: Parameters) -> None:
    if parameters.one_pass and into.hist.size and s.hist.size:
        s = replace(s)
        into.widen(s.width)
        s.widen(into.width)
    if into.hist.size and s.hist.size and (into.width, into.hist.size) != (s.width, s.hist.size):
        raise DataError(
            f"{path}: tensor {s.name}: histograms of ranges {into.width * into.hist.size:g} and "
            f"{s.width * s.hist.size:g} cannot be added; collect with the one-pass histogram"
        )
    if into.hist.size and s.hist.size:
        into.hist = into.hist + s.hist
    elif s.hist.size:
        into.hist, into.width = s.hist, s.width
    # Of a list that is cut off, values below its last one are missing: the merged list ends there.
    ends = [float(t.top[-1]) for t in (into, s) if not t.top_complete and t.top.size]
    top = np.sort(np.concatenate([into.top, s.top]))[::-1]
    into.top, into.top_complete = top[top >= max(ends, default=0.0)], into.top_complete and s.top_complete
    into.n, into.min, into.max = into.n + s.n, min(into.min, s.min), max(into.max, s.max)
    into.records += s.records
    into.record_sizes = [*into.record_sizes, *s.record_sizes]
    into.per_record = {m: [*into.per_record[m], *s.per_record[m]] for m in into.per_record if m in s.per_record}
