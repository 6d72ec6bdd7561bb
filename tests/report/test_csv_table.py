"""The CSV: one row per tensor, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from typing import Any

from bittrue.report.csv_table import render_csv


def rows(*tensors: dict[str, Any]) -> list[dict[str, str]]:
    return list(
        csv.DictReader(io.StringIO(render_csv({"nets": [{"name": "net", "stage": 2, "tensors": list(tensors)}]})))
    )


def test_columns_and_values() -> None:
    (row,) = rows(
        {
            "name": "conv_out",
            "op": "Conv2d",
            "verdict": "OFF_BY_LSB",
            "origin": "BORN_HERE",
            "n": 100,
            "n_bad": 3,
            "lsb_max": 1,
            "lsb_mean": -0.03,
            "cosine": 0.5,
            "sqnr_db": "Infinity",
            "rel_l2": 0.1,
            "mre": None,
            "max_abs": 7,
            "causes": [{"class": "A", "sentence": "all at ties"}],
        }
    )
    assert list(row)[:13] == [
        "name", "op", "verdict", "origin", "n", "n_bad", "lsb_max", "bias_lsb", "cosine", "sqnr_db", "rel_l2", "mre",
        "chebyshev",
    ]  # fmt: skip
    assert row["bias_lsb"] == "-0.03" and row["sqnr_db"] == "Infinity" and row["mre"] == "" and row["chebyshev"] == "7"
    assert (row["net"], row["stage"], row["cause"]) == ("net", "2", "all at ties")


def test_hostile_names() -> None:
    names = ["=1+1", "+cmd", "-x", "@y", 'a"b,c', "line\nbreak\x00\ud800"]
    assert [r["name"] for r in rows(*({"name": n} for n in names))] == [
        "'=1+1", "'+cmd", "'-x", "'@y", 'a"b,c', "line break��",
    ]  # fmt: skip
    assert rows({"name": "n", "sqnr_db": "-Infinity"})[0]["sqnr_db"] == "-Infinity"
    assert render_csv({}).count("\n") == 1
