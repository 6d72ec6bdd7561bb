"""A result as CSV for spreadsheets: one row per tensor."""

from __future__ import annotations

import csv
import io
from typing import Any

from bittrue.report.show import one_line, parse_number

# column -> field of a tensor; the measured ones come first, what tells rows apart after them
COLUMNS = {
    "name": "name",
    "op": "op",
    "verdict": "verdict",
    "origin": "origin",
    "n": "n",
    "n_bad": "n_bad",
    "lsb_max": "lsb_max",
    "bias_lsb": "lsb_mean",
    "cosine": "cosine",
    "sqnr_db": "sqnr_db",
    "rel_l2": "rel_l2",
    "mre": "mre",
    "chebyshev": "max_abs",
    "index": "index",
    "layer": "layer",
    "role": "role",
    "dtype": "dtype",
    "evidence": "evidence",
    "rule": "rule",
    "detail": "detail",
}
FORMULA = ("=", "+", "-", "@")  # a cell that starts with one of these is run by spreadsheets


def render_csv(result: dict[str, Any]) -> str:
    """CSV text for a result in the form of `Result.to_dict()`. Absent values are empty cells; the cause is the sentence
    of the first one."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*COLUMNS, "cause", "net", "stage"])
    for i, net in enumerate(result.get("nets") or []):
        for t in net.get("tensors") or []:
            cause = next((c.get("sentence") for c in t.get("causes") or []), None)
            cells = [t.get(field) for field in COLUMNS.values()]
            writer.writerow([_cell(v) for v in (*cells, cause, net.get("name"), net.get("stage", i))])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(FORMULA) and parse_number(text) is None else text
