"""What a file or folder is, as far as comparing goes."""

from __future__ import annotations

import json
from pathlib import Path

from bittrue.containers.bmodel import is_bmodel
from bittrue.containers.context_dir import MODEL
from bittrue.errors import DataError
from bittrue.importers import FORMATS
from bittrue.model_files import is_quantized_onnx
from bittrue.report.result import SCHEMA

KINDS = {
    "archive": "archive or folder of tensors",
    "model": "compiled model",
    "float": "float model",
    "result": "stored result",
}


def kind_of(path: Path) -> str:
    """archive (tensors), model (context directory, .bmodel, quantized .onnx, .tflite), float (a float model) or result.

    Raises DataError for missing files and for .json files that are no result.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        return "model" if (path / MODEL).is_file() else "archive"
    suffix = path.suffix.lower()
    if suffix == ".bmodel" or is_bmodel(path):
        return "model"
    if suffix == ".onnx":
        return "model" if is_quantized_onnx(path) else "float"
    if suffix == ".tflite":
        return "model"
    if suffix in FORMATS:
        return "float"
    if suffix == ".json":
        _check_result(path)
        return "result"
    return "archive"


def _check_result(path: Path) -> None:
    try:
        schema = json.loads(path.read_text()).get("schema")
    except (OSError, ValueError, AttributeError) as e:
        raise DataError(f"{path}: not a stored result ({type(e).__name__})") from e
    if schema != SCHEMA:
        raise DataError(f"{path}: schema '{schema}', expected '{SCHEMA}'")
