"""A .tflite file as a quantized model."""

from __future__ import annotations

from pathlib import Path
from struct import error as struct_error

import tflite

from bittrue.errors import DataError, UnsupportedError

# The rules register themselves.
from bittrue.importers.tflite_quantized import elementwise, movement, reductions, sums, tables  # noqa: F401
from bittrue.importers.tflite_quantized.reader import Importer
from bittrue.importers.tflite_quantized.registry import RULES
from bittrue.quantize.model import QuantizedModel

OP_NAMES = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}


def load_tflite(path: Path) -> QuantizedModel:
    """A quantized .tflite file as a quantized graph, without the ops that have no integer meaning here.

    Raises DataError for files that are no TFLite model, UnsupportedError if nothing of it can be imported.
    """
    try:
        content = path.read_bytes()
    except OSError as e:
        raise DataError(f"{path}: cannot be read ({e.strerror})") from e
    if content[4:8] != b"TFL3":
        raise DataError(f"{path}: not a TFLite model")
    try:
        m = Importer(content, path.stem)
        left_out = _import(m)
    except UnsupportedError as e:
        raise UnsupportedError(f"{path}: {e}") from e
    except (IndexError, ValueError, AttributeError, TypeError, KeyError, ArithmeticError, struct_error) as e:
        raise DataError(f"{path}: a damaged TFLite model ({type(e).__name__})") from e
    if not m.graph.nodes:
        raise UnsupportedError(f"{path}: nothing can be imported: {left_out[0] if left_out else 'it has no operators'}")
    m.graph.check()
    meta = {"layouts": m.layouts, "left_out": left_out}
    wide = any(t.dtype == "int16" for t in m.tensors.values())
    return QuantizedModel(m.graph, "tflite", "int16" if wide else "int8", {}, m.tensors, meta)


def _import(m: Importer) -> list[str]:
    """Adds the operators in order; returns what is left out, with the reason."""
    m.graph.inputs = [m.declare(int(i)) for i in m.source.InputsAsNumpy()]
    left_out: list[str] = []
    for k in range(m.source.OperatorsLength()):
        operator = m.source.Operators(k)
        code = m.model.OperatorCodes(operator.OpcodeIndex())
        kind = OP_NAMES.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
        output = m.names[int(operator.Outputs(0))]
        computed = [int(i) for i in operator.InputsAsNumpy() if i >= 0 and m.constant(int(i)) is None]
        missing = [m.names[i] for i in computed if m.names[i] not in m.graph.types]
        try:
            if missing:
                raise UnsupportedError(f"reads '{missing[0]}', which is left out")
            if kind not in RULES:
                raise UnsupportedError("no integer meaning here")
            before = len(m.graph.nodes)
            try:
                RULES[kind](m, operator)
            except UnsupportedError:
                del m.graph.nodes[before:]  # a rule that gave up half way
                raise
        except UnsupportedError as e:
            left_out.append(f"{kind} '{output}': {e}")
    read = {i for n in m.graph.nodes for i in n.inputs}
    m.graph.outputs = [o for n in m.graph.nodes for o in n.outputs if o not in read]
    return left_out
