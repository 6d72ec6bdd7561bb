"""Calibration tables: JSON (`bittrue-cali/1`) and the vendor's text format."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from bittrue import __version__
from bittrue.containers.bmodel import write_atomic
from bittrue.errors import DataError

SCHEMA = "bittrue-cali/1"
NUMBER = re.compile(r"^[-+0-9.eE]+$")
BLOCKS = ("#int4_th", "#asym_op", "#weight_scale", "#weight_scale_fp8", "#int4_op")


@dataclass
class Threshold:
    """One tensor: threshold of the symmetric range, true minimum and maximum."""

    threshold: float
    min: float
    max: float
    method: str = ""
    source: str = "computed"


@dataclass
class CalibrationTable:
    """Thresholds by tensor name, and where they came from."""

    tensors: dict[str, Threshold]
    method: str = ""
    variant: str = ""
    bins: int = 0
    samples: int = 0
    model_sha256: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> CalibrationTable:
        """Either format. Raises DataError that names file and line."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(f"{path}: cannot be read ({e})") from e
        return _read_json(path, text) if text.lstrip().startswith("{") else _read_text(path, text)

    def write(self, path: Path) -> None:
        """JSON for *.json, text otherwise; written under a temporary name, then renamed."""
        if path.suffix != ".json":
            # Seven decimals are all the text format has.
            lost = [n for n, t in self.tensors.items() if float(f"{t.threshold:.7f}") == 0]
            if lost:
                raise DataError(
                    f"{path}: the text format rounds the threshold of '{lost[0]}' to 0; write a .json table"
                )
        text = self.to_json() if path.suffix == ".json" else self.to_text()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())

    def to_json(self) -> str:
        content = {
            "schema": SCHEMA,
            "tool": f"bittrue {__version__}",
            "float_runtime": "onnxruntime",
            "model_sha256": self.model_sha256,
            "method": self.method,
            "variant": self.variant,
            "params": {"bins": self.bins},
            "samples": {"count": self.samples},
            "tensors": {name: asdict(t) for name, t in self.tensors.items()},
        }
        return json.dumps(content, indent=1) + "\n"

    @property
    def sha256(self) -> str:
        """Of the JSON form, which keeps every digit: the hash of the .json file that `write` makes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_text(self) -> str:
        """The vendor's text table, `%.7f`, blanks in names percent-encoded."""
        lines = [
            f"# mlir version: bittrue {__version__} cali version 1.0",
            f"# genetated time: {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
            f"# quantization threshold calculation method: {self.method}",
            f"# histogram number: {self.bins}",
            f"# sample number: {self.samples}",
            "###",
            "# op_name    threshold    min    max",
        ]
        lines += [
            f"{quote(n, safe='/:;,.+-_()[]<>=@#$&!*')} {t.threshold:.7f} {t.min:.7f} {t.max:.7f}"
            for n, t in self.tensors.items()
        ]
        return "\n".join(lines) + "\n"


def _check(where: str, name: str, t: Threshold) -> Threshold:
    if not all(np.isfinite(v) for v in (t.threshold, t.min, t.max)) or t.threshold <= 0:
        raise DataError(f"{where}: tensor '{name}': threshold {t.threshold}, min {t.min}, max {t.max}")
    return t


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand once."""
    names = [name for name, _ in pairs]
    twice = next((n for n in names if names.count(n) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"'{twice}' stands twice")
    return dict(pairs)


def _read_json(path: Path, text: str) -> CalibrationTable:
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        if content["schema"] != SCHEMA:
            raise DataError(f"{path}: schema '{content['schema']}', expected '{SCHEMA}'")
        known = Threshold.__dataclass_fields__
        tensors = {n: Threshold(**{k: v for k, v in t.items() if k in known}) for n, t in content["tensors"].items()}
        if not tensors:
            raise DataError(f"{path}: no thresholds")
        for name, t in tensors.items():
            _check(str(path), name, t)
        return CalibrationTable(
            tensors,
            content.get("method", ""),
            content.get("variant", ""),
            int(content.get("params", {}).get("bins", 0)),
            int(content.get("samples", {}).get("count", 0)),
            content.get("model_sha256", ""),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(f"{path}: not a calibration table ({type(e).__name__}: {e})") from e


def _read_text(path: Path, text: str) -> CalibrationTable:
    table = CalibrationTable({})
    block = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line:
            continue
        if line.startswith("#"):
            block = line if line in BLOCKS else ""
            for key, name in (("calculation method: ", "method"), ("sample number: ", "samples")):
                if key in line:
                    value = line.split(key, 1)[1].strip()
                    setattr(table, name, int(value) if name == "samples" and value.isdigit() else value)
            continue
        if block:
            continue
        fields = line.split()
        where = f"{path}:{number}"
        if len(fields) != 4 or not all(NUMBER.match(v) for v in fields[1:]):
            raise DataError(f"{where}: expected 'name threshold min max', found '{line[:60]}'")
        name = unquote(fields[0])
        if name in table.tensors:
            raise DataError(f"{where}: tensor '{name}' stands twice")
        try:
            values = [float(v) for v in fields[1:]]
        except ValueError as e:
            raise DataError(f"{where}: {e}") from e
        table.tensors[name] = _check(where, name, Threshold(values[0], values[1], values[2], source="file"))
    if not table.tensors:
        raise DataError(f"{path}: no thresholds")
    return table
