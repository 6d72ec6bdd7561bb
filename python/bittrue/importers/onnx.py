"""ONNX files to the float graph: one opset, static shapes, canonical attributes, folded constants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import onnx
import onnx.utils
from google.protobuf.message import DecodeError
from onnx import shape_inference
from onnx.inliner import inline_local_functions

from bittrue.errors import DataError, UnsupportedError, UsageError
from bittrue.graph.host_ops import is_host_op
from bittrue.graph.ir import Graph
from bittrue.graph.onnx_io import from_onnx, opset_of
from bittrue.graph.passes import run_passes
from bittrue.graph.passes.fold_constants import fold_constants
from bittrue.importers.opset import check_opset, to_fixed_opset
from bittrue.importers.output_shape import resolve_output_shapes


def one_line(e: Exception) -> str:
    """The message of an error of a library, on one line."""
    return " ".join(str(e).split())


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(str(path))
    except (DecodeError, ValueError) as e:
        raise DataError(f"{path}: not an ONNX model ({type(e).__name__})") from e
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror or e})") from e
    except Exception as e:  # missing external data raises the checker's own error type
        raise DataError(f"{path}: not a readable ONNX model ({one_line(e)})") from e
    if not model.graph.node:
        raise DataError(f"{path}: the model has no nodes")
    return model


def _cut(path: Path, model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of a network between tensors. Raises UsageError for names that it does not have, and for inputs that the
    outputs need but that are not among the names."""
    graph = model.graph
    constants = {t.name for t in graph.initializer}
    known = {v.name for v in graph.input} | {o for n in graph.node for o in n.output if o}
    if unknown := [n for n in (*inputs, *outputs) if n not in known]:
        raise UsageError(f"{path}: no tensor '{unknown[0]}'")
    inputs = inputs or [v.name for v in graph.input if v.name not in constants]
    outputs = outputs or [v.name for v in graph.output]
    try:
        cut = onnx.utils.Extractor(shape_inference.infer_shapes(model)).extract_model(list(inputs), list(outputs))
    except Exception as e:  # the checker's errors have no common base
        raise DataError(f"{path}: cannot be cut at {', '.join((*inputs, *outputs))} ({one_line(e)})") from e
    made = {*inputs, *(t.name for t in cut.graph.initializer), *(o for n in cut.graph.node for o in n.output), ""}
    if missing := [i for n in cut.graph.node for i in n.input if i not in made]:
        raise UsageError(f"{path}: the outputs need '{missing[0]}' as well, which is not among the input names")
    return cut


def declared_inputs(
    path: Path, input_names: Sequence[str] = (), output_names: Sequence[str] = ()
) -> dict[str, tuple[int | None, ...] | None]:
    """Inputs and their shapes as the file says them, None for what it leaves open. Names: see `load_onnx`.

    Raises DataError for files that are no model, UsageError for unknown names.
    """
    model = _read(path)
    if input_names or output_names:
        model = _cut(path, model, input_names, output_names)
    constants = {t.name for t in model.graph.initializer}
    found: dict[str, tuple[int | None, ...] | None] = {}
    for value in model.graph.input:
        if value.name not in constants:
            tensor = value.type.tensor_type
            dims = tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim)
            found[value.name] = dims if tensor.HasField("shape") else None
    return found


def _set_shapes(path: Path, model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
    constants = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in constants]
    unknown = set(shapes) - {v.name for v in inputs}
    if unknown:
        names = ", ".join(v.name for v in inputs)
        raise UsageError(f"{path}: no input '{sorted(unknown)[0]}'; the model has {names}")
    for value in inputs:
        dims = value.type.tensor_type.shape.dim
        wanted = shapes.get(value.name)
        if wanted is not None and len(wanted) != len(dims):
            raise UsageError(f"{path}: input '{value.name}' has {len(dims)} dimensions, {len(wanted)} given")
        for axis, dim in enumerate(dims):
            if wanted is not None:
                dim.Clear()
                dim.dim_value = wanted[axis]
            elif not dim.HasField("dim_value") or dim.dim_value < 0:
                if axis:
                    raise UsageError(
                        f"{path}: dimension {axis} ('{dim.dim_param}') of input '{value.name}' is not fixed; "
                        f"give --shape {value.name}=..."
                    )
                dim.Clear()
                dim.dim_value = 1
            if dim.dim_value == 0:
                raise DataError(f"{path}: input '{value.name}' has a dimension of size zero")
    # Shapes stored with the old dimensions would contradict the new ones.
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def load_onnx(
    path: Path,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    disabled_passes: Collection[str] = (),
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
) -> Graph:
    """See `bittrue.importers.load_float_graph`. Opsets 7 and newer; a symbolic batch dimension becomes 1.

    input_names, output_names: tensors that become the inputs and outputs, for a part of the network; default its own.
    """
    model = _read(path)
    if model.functions:
        model = inline_local_functions(model)
    if input_names or output_names:
        model = _cut(path, model, input_names, output_names)
    standard = [n for n in model.graph.node if n.domain in ("", "ai.onnx")]
    others = {(n.domain, n.op_type) for n in model.graph.node} - {(n.domain, n.op_type) for n in standard}
    foreign = sorted(f"{domain}.{op}" for domain, op in others if not is_host_op(domain, op))
    if foreign:
        raise UnsupportedError(f"{path}: operators outside ONNX: {', '.join(foreign)}")
    _set_shapes(path, model, input_shapes or {})
    try:
        check_opset(opset_of(model), [(n.name or n.output[0], n.op_type) for n in standard if n.output])
        resolve_output_shapes(model)
        graph = from_onnx(model)
        fold_constants(graph)
        to_fixed_opset(graph)
        run_passes(graph, disabled_passes)
        graph.check()
    except (DataError, UnsupportedError) as e:
        raise type(e)(f"{path}: {one_line(e)}") from e
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as e:  # what damaged fields lead to
        raise DataError(f"{path}: broken model ({type(e).__name__}: {one_line(e)})") from e
    empty = next((n for n in graph.activations() if 0 in graph.types[n].shape), None)
    if empty:
        raise DataError(f"{path}: tensor '{empty}' has a dimension of size zero")
    return graph
