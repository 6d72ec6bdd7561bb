"""`bittrue run FILE --data D --capture tensor=FOLDER`: inferences whose tensors become calibration data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bittrue import api
from bittrue.audit.networks import Run, simulation
from bittrue.calibrate.data import Preprocess, Records
from bittrue.calibrate.float_runner import ShapedRunner
from bittrue.cascade.capture import Capture
from bittrue.cli.data_options import preprocess_from
from bittrue.errors import UsageError
from bittrue.graph.ir import Graph, TensorType
from bittrue.importers import CaffeOptions
from bittrue.model_files import is_quantized_onnx
from bittrue.spelling import nearest

_path = click.Path(path_type=Path)


def capture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --capture and what belongs to it."""
    for option in (
        click.option("--shape", "shapes", multiple=True, help="--capture of a float model: shape, name=1x3x224x224."),
        click.option("--weights", type=_path, help="--capture of a prototxt: its caffemodel."),
        click.option("--force", is_flag=True, help="--capture replaces folders that exist."),
        click.option("--max", "limit", type=click.IntRange(1), help="Most records that --capture writes."),
        click.option("--data", type=_path, help="What --capture runs the model on: pictures, arrays, an LMDB, a list."),
        click.option("--capture", metavar="TENSOR[,..]=FOLDER[,..]", help="Write tensors of every inference as LMDBs."),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class CaptureOptions:
    """The options of `capture_options`, and how pictures become inputs."""

    capture: str | None
    data: Path | None
    limit: int | None
    force: bool
    weights: Path | None
    shapes: tuple[str, ...]
    preprocess: Preprocess

    @staticmethod
    def taken_from(options: dict[str, Any]) -> CaptureOptions:
        """Takes them out of all options of a command. Raises UsageError for those that need --capture."""
        own = {k: options.pop(k) for k in CaptureOptions.__dataclass_fields__ if k != "preprocess"}
        pixels = {k: options.pop(k) for k in ("layout", "channels", "pixel_scale", "mean", "resize")}
        if own["capture"] is None and (given := [k for k, v in own.items() if v]):
            spelled = {"limit": "max", "shapes": "shape"}
            raise UsageError(f"--{spelled.get(given[0], given[0])} is of --capture")
        return CaptureOptions(**own, preprocess=preprocess_from(pixels))

    def folders(self) -> dict[str, Path]:
        """Folder by tensor. Raises UsageError for lists that do not fit."""
        names, _, folders = (self.capture or "").partition("=")
        pairs = names.split(","), folders.split(",")
        if len(pairs[0]) != len(pairs[1]) or not all(pairs[0] + pairs[1]):
            raise UsageError(f"--capture {self.capture}: as many tensors as folders are needed, a,b=folder_a,folder_b")
        return {name: Path(folder) for name, folder in zip(*pairs, strict=True)}


def run_captured(
    file: Path,
    options: CaptureOptions,
    *,
    net: str | None,
    stage: int,
    path: str | None,
    threads: int | None,
    changes: Mapping[str, Any],
) -> None:
    """Runs a model once for every record and writes the LMDB folders. changes: arithmetic of a compiled model."""
    if options.data is None:
        raise UsageError("--capture needs --data")
    folders = options.folders()
    if file.suffix.lower() == ".prototxt" or (file.suffix.lower() == ".onnx" and not is_quantized_onnx(file)):
        if net or stage or path or threads or any(changes.values()):
            raise UsageError(f"{file}: a float model; options of the simulation do not apply")
        caffe = CaffeOptions(options.weights) if options.weights else None
        graphs = api.load_shaped(file, shapes=api.parse_shapes(options.shapes), caffe=caffe)
        graph, float_model = graphs.graph, True
        run: Run = ShapedRunner(graphs, _computed(file, graph, folders)).run
    else:
        if options.weights or options.shapes:
            raise UsageError(f"{file}: a compiled model; --weights and --shape do not apply")
        model = api.load(file, net=net, stage=stage)
        api.apply_profile(model, **changes)
        graph, float_model = model.graph, False
        run = simulation(model, _computed(file, graph, folders), path=path, threads=threads)
    types = {n: TensorType("float32", graph.types[n].shape) for n in graph.inputs}
    inputs = Graph(graph.name, inputs=graph.inputs, types=types)
    records = Records(inputs, options.data, options.preprocess, options.limit, any_shape=float_model)
    with Capture(folders, limit=options.limit, force=options.force) as capture:
        for record in records:
            capture.add({**record.feeds, **run(record.feeds)}, record.key)
    for name, folder in folders.items():
        click.echo(f"{folder}: {capture.count} records of {name}")


def _computed(file: Path, graph: Graph, wanted: Iterable[str]) -> list[str]:
    """Of the tensors wanted those that are no inputs. Raises UsageError for unknown names."""
    known = list(graph.activations())
    for name in wanted:
        if name not in known:
            raise UsageError(f"{file}: no tensor '{name}'{nearest(name, known)}")
    return [n for n in wanted if n not in graph.inputs]
