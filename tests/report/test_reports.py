"""Stored results and the pages made of them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

import bittrue.report
from bittrue.errors import DataError
from bittrue.report.html import render_html
from bittrue.report.junit import render_junit
from bittrue.report.result import Result, TensorResult, json_schema, new_result
from bittrue.report.text import render_text

SCHEMA_FILE = Path(bittrue.report.__file__).with_name("result.schema.json")


def result(tensors: int = 3, name: str = "conv<b>") -> Result:
    r = new_result("verify", name="net", path="generic", threads=2)
    rows = [
        TensorResult(
            name=f"{name}_{i}", index=i, op="Conv2d", shape=[1, 2], dtype="int8", verdict="EQUAL", n=2, cosine=1.0
        )
        for i in range(tensors)
    ]
    rows[1].verdict, rows[1].n_bad, rows[1].sqnr_db = "DIFFERENT", 1, float("inf")
    r.add_stage("net", 0, rows)
    return r


def test_the_stored_schema_is_the_current_one() -> None:
    assert SCHEMA_FILE.read_text() == json_schema()


def test_round_trip(tmp_path: Path) -> None:
    r = result()
    r.save(tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(content, json.loads(SCHEMA_FILE.read_text()))
    assert content["schema"] == "bittrue-result/1"
    assert content["nets"][0]["tensors"][1]["sqnr_db"] == "Infinity"
    assert render_text(Result.load(tmp_path / "r.json"), True) == render_text(r, True)
    for text in ("[]", "{}", '{"schema": "bittrue-result/2"}', "no json"):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(DataError, match=r"bad\.json"):
            Result.load(tmp_path / "bad.json")


def test_summary() -> None:
    s = result().summary
    assert (s.compared, s.equal, s.failed, s.mismatches, s.passed) == (3, 2, 1, 1, False)
    assert s.first_divergent == "layer 1 conv<b>_1" and "1 of 2 elements differ" in s.sentence
    assert not new_result("verify", name="n").summary.passed
    empty = new_result("verify", name="n")
    empty.add_stage("n", 0, [])
    assert not empty.summary.passed


def test_html() -> None:
    page = render_html(result(300).to_dict())
    assert len(page) < 2_000_000
    assert "conv&lt;b&gt;_299" in page and "<b>_" not in page
    assert "http" not in page and "<script" not in page and "FAILED" in page
    assert "PASSED" in render_html(
        {"kind": "audit", "summary": {"passed": True}, "model": {}, "tool": {}, "target": {}}
    )


def test_junit() -> None:
    suite = ET.fromstring(render_junit(result().to_dict())).find("testsuite")
    assert suite is not None and (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [f.get("type") for f in suite.iter("failure")] == ["DIFFERENT"]


def test_text() -> None:
    lines = render_text(result()).splitlines()
    assert "+++ The network[net] stage[0] cmp failed +++" in lines
    assert lines[-1] == "bittrue verify FAILED: first divergent layer 1 conv<b>_1"
