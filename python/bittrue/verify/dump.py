"""A dump seen with the model's names, layouts and types: it becomes comparable, or says why it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.archive import UNTYPED, FolderArchive, open_archive, self_described, typed
from bittrue.errors import DataError
from bittrue.graph.ir import Graph
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import TensorResult
from bittrue.runtime.session import Session
from bittrue.verify.by_values import match_by_values
from bittrue.verify.fingerprints import FINGERPRINTS
from bittrue.verify.layouts import PLAIN, Layout, LayoutError, parse_layout
from bittrue.verify.metrics import TensorMetrics
from bittrue.verify.names import Grid, NameMap, Names, load_map, resolve

Array = np.ndarray[Any, Any]
OFF_GRID = 1e-3  # largest distance of a dequantized float from its grid, in steps


@dataclass(frozen=True)
class DumpOptions:
    """How a dump is read. map: file of names, layouts and scales (`bittrue-map/1`). layout: of every tensor the map
    does not speak of. match_by_values: tensors that no name fits are recognised by their values, and reported."""

    map: Path | None = None
    layout: str | None = None
    match_by_values: bool = False

    def record(self) -> dict[str, Any]:
        """What a stored result keeps of it; `from_record` reads it."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in vars(self).items() if v}

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> DumpOptions:
        given = Path(record["map"]) if record.get("map") else None
        return DumpOptions(given, record.get("layout"), bool(record.get("match_by_values")))


@dataclass(frozen=True)
class Want:
    """Type and shape that the other side, or the model, gives a tensor; None where it does not say."""

    dtype: np.dtype[Any] | None
    shape: tuple[int, ...] | None


UNKNOWN = Want(None, None)


@dataclass
class Reading:
    """How a tensor was read. reason: why it cannot be compared; padding: padding bytes that are not zero."""

    layout: str = ""
    padding: int = 0
    remark: str = ""
    reason: str = ""
    shape: tuple[int, ...] | None = None


class Dump(Mapping[str, Array]):
    """Tensors of an archive under the names of the model, read one by one, in the model's layout and type.

    want: type and shape of a tensor, see `Want`. grids: the model's grid of a tensor. layouts: how other tools store a
    tensor, as far as the model says; a map or option goes before it. A tensor that cannot be brought
    to what is wanted comes as bytes of no tensor's shape, and `annotate` says why. Raises what `resolve` raises.
    """

    def __init__(
        self,
        archive: Mapping[str, Array],
        options: DumpOptions,
        *,
        where: str,
        tensors: Collection[str] | None = None,
        layers: Mapping[str, str] | None = None,
        grids: Mapping[str, Grid] | None = None,
        layouts: Mapping[str, str] | None = None,
    ) -> None:
        self.archive, self.where = archive, where
        self.map: NameMap = load_map(options.map)
        self.default = parse_layout(options.layout) if options.layout else None
        self.grids = grids or {}
        self.want: Callable[[str], Want] = lambda _: UNKNOWN
        own = [n for n in archive if n != FINGERPRINTS]
        self.names: Names = resolve(self.map, own, tensors, layers, str(options.map) if options.map else where)
        self.readings: dict[str, Reading] = {}
        self.warnings = list(self.names.notes)
        if isinstance(archive, FolderArchive) and archive.skipped:
            listed = ", ".join(archive.skipped[:4]) + (" ..." if len(archive.skipped) > 4 else "")
            self.warnings.append(f"{where}: {len(archive.skipped)} files are no tensors: {listed}")
        # Of tensors matched by values, and of those whose layout elsewhere the model knows.
        self._layouts = {n: parse_layout(text) for n, text in (layouts or {}).items()}
        self.shared: Sequence[Dump] = (self,)  # dumps whose maps declare grids of the same tensors

    def match_values(self, tensors: Mapping[str, Array], known: Collection[str]) -> None:
        """Names the tensors of the dump that have none of the `known` names by the values of `tensors`; every pair
        becomes a warning."""
        left = {t: n for t, n in self.names.dump_of.items() if t not in known}
        missing = {n: tensors[n] for n in tensors if n not in self.names.dump_of}
        layouts = dict.fromkeys([PLAIN, *filter(None, [self.default]), *self.map.declared_layouts()])
        pairs, remarks = match_by_values({n: self.archive[n] for n in left.values()}, missing, layouts)
        for pair in pairs:
            own = next(t for t, n in left.items() if n == pair.dump)
            del self.names.dump_of[own]
            self.names.dump_of[pair.tensor] = pair.dump
            self._layouts[pair.tensor] = pair.layout
        self.warnings += [p.text for p in pairs] + remarks

    def layout(self, name: str) -> Layout | None:
        """Declared layout of a tensor."""
        declared = self.map.layout_of({name, self.names.dump_of[name]}) or self.default
        return declared or self._layouts.get(name)

    def grid(self, name: str) -> Grid | None:
        """Declared grid of a tensor of dequantized floats."""
        for dump in self.shared:
            if name in dump.names.dump_of:
                found = dump.map.grid_of({name, dump.names.dump_of[name]}, self.grids.get(name))
                if found:
                    return found
        return None

    def says(self, name: str) -> Want:
        """What the dump itself says about a tensor."""
        if name not in self.names.dump_of:
            return UNKNOWN
        raw, layout = self.archive[self.names.dump_of[name]], self.layout(name)
        with self._naming(name):
            described = self_described(raw) if raw.dtype == UNTYPED else raw
        if described is None:
            return UNKNOWN
        return Want(described.dtype, layout.logical_shape(described.shape) if layout else described.shape)

    def __getitem__(self, name: str) -> Array:
        raw, want, layout = self.archive[self.names.dump_of[name]], self.want(name), self.layout(name)
        reading = self.readings[name] = Reading(layout.text if layout else "", shape=want.shape)
        try:
            array = self._typed(name, raw, want, layout, reading)
            if layout and (not layout.plain or array.ndim == 1):
                shape = want.shape or layout.logical_shape(array.shape)
                if shape is None:
                    raise LayoutError(f"the shape of a tensor in layout {layout.text} is not known; give --model")
                array, reading.padding = layout.unpack(array, shape)
            return self._on_grid(name, array, want, reading)
        except ValueError as e:
            reading.reason = str(e)
            if want is UNKNOWN:  # nothing to mistake it for
                return raw.view(np.uint8) if raw.dtype == UNTYPED else raw
            return np.empty((0, raw.nbytes), np.uint8)

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        """Errors in the text of a file say which tensor of which dump it is."""
        try:
            yield
        except DataError as e:
            raise DataError(f"{self.where}: '{self.names.dump_of[name]}': {e}") from e

    def _typed(self, name: str, raw: Array, want: Want, layout: Layout | None, reading: Reading) -> Array:
        if raw.dtype != UNTYPED:
            return raw
        if want.dtype is None or want.shape is None:
            with self._naming(name):
                described = self_described(raw)
            if described is None:
                reading.remark = "compared as bytes: neither side says the type"
                return raw.view(np.uint8)
            return described
        dtypes = [want.dtype, np.dtype(np.float32)] if self.grid(name) else [want.dtype]
        errors = []
        for dtype in dtypes:
            try:
                with self._naming(name):
                    return typed(raw, dtype, (layout or PLAIN).stored_shape(want.shape, dtype.itemsize))
            except ValueError as e:
                errors.append(str(e))
        raise ValueError("; ".join(errors))

    def _on_grid(self, name: str, array: Array, want: Want, reading: Reading) -> Array:
        if array.dtype.kind != "f" or want.dtype is None or want.dtype.kind not in "iu":
            return array
        grid = self.grid(name)
        if grid is None:
            raise ValueError(f"{array.dtype} in the dump, {want.dtype} wanted: declare the scale in the map (`scales`)")
        reading.remark = f"floats compared on the grid of scale {grid.scale:g}, zero point {grid.zero_point}"
        return to_grid(array, grid, want.dtype)

    def __contains__(self, name: object) -> bool:
        return name in self.names.dump_of

    def __iter__(self) -> Iterator[str]:
        return iter(self.names.dump_of)

    def __len__(self) -> int:
        return len(self.names.dump_of)

    def annotate(self, results: Iterable[TensorResult]) -> None:
        """Says in the results how the tensors were read, and makes those that could not be NOT_COMPARABLE."""
        for t in results:
            reading = self.readings.get(t.name)
            if reading is None or t.verdict in ("MISSING", "EXTRA"):
                continue
            t.layout = reading.layout or t.layout
            t.padding_set += reading.padding
            if reading.reason:
                for key, value in TensorMetrics():
                    setattr(t, key, value)
                t.verdict, t.detail, t.shape = "NOT_COMPARABLE", reading.reason, list(reading.shape or t.shape)
            else:
                padding = f"{reading.padding} padding bytes are not zero" if reading.padding else ""
                t.detail = "; ".join(part for part in (t.detail, reading.remark, padding) if part)


def to_grid(array: Array, grid: Grid, dtype: np.dtype[Any]) -> Array:
    """Dequantized floats as the integers they stand for. Raises ValueError if an element is farther than 1e-3 of a step
    from its grid, or stands for an integer outside `dtype`."""
    steps = array.astype(np.float64) / grid.scale
    rounded = np.rint(steps)
    off = ~(np.abs(steps - rounded) <= OFF_GRID)
    if off.any():
        raise ValueError(f"{int(off.sum())} of {array.size} floats are off the grid of scale {grid.scale:g}")
    integers = rounded + grid.zero_point
    info = np.iinfo(dtype)
    outside = (integers < info.min) | (integers > info.max)
    if outside.any():
        raise ValueError(f"{int(outside.sum())} of {array.size} floats stand for integers outside {dtype}")
    return integers.astype(dtype)


def layer_names(graph: Graph) -> dict[str, str]:
    """Node name -> its output, of the nodes that have one."""
    outputs = {n.name: [o for o in n.outputs if o] for n in graph.nodes}
    return {name: found[0] for name, found in outputs.items() if len(found) == 1}


def model_want(graph: Graph) -> Callable[[str], Want]:
    """What a graph says about its tensors."""

    def want(name: str) -> Want:
        known = graph.types.get(name)
        if known is None:
            return UNKNOWN
        dtype = {"int4": "int8", "uint4": "uint8"}.get(known.dtype, known.dtype)
        return Want(np.dtype(dtype), known.shape)

    return want


def model_grids(model: QuantizedModel) -> dict[str, Grid]:
    """The grid of every quantized tensor of a model."""
    return {n: Grid(scale=q.scale, zero_point=q.zero_point) for n, q in model.tensors.items() if q.scale > 0}


def open_dump(
    path: Path, options: DumpOptions, session: Session, model: QuantizedModel, inputs: Mapping[str, Array]
) -> Dump:
    """A dump under the names, layouts and types of a quantized model.

    session, inputs: give the values that tensors are recognised by, where that is asked for. Raises what `open_archive`
    and `Dump` raise.
    """
    dump = named_dump(open_archive(path), options, str(path), model.graph, model)
    dump.want = model_want(model.graph)
    if options.match_by_values:
        names = list(model.graph.activations())
        dump.match_values(session.run(inputs, trace=[n for n in names if n not in dump]).trace, names)
    return dump


def named_dump(
    archive: Mapping[str, Array], options: DumpOptions, where: str, graph: Graph | None, model: QuantizedModel | None
) -> Dump:
    """A dump under the names of a graph, if there is one, with the grids of its quantized model, if it is one."""
    tensors = list(graph.activations()) if graph else None
    layers = layer_names(graph) if graph else None
    grids = model_grids(model) if model else None
    layouts = model.meta.get("layouts") if model else None
    return Dump(archive, options, where=where, tensors=tensors, layers=layers, grids=grids, layouts=layouts)
