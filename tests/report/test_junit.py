"""The JUnit file: well-formed, counted, and red whenever something is wrong."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bittrue.report.junit import render_junit


def tensor(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    content = {"name": name, "index": 0, "op": "Conv2d", "role": "inner", "verdict": verdict, "n": 64, "n_bad": 3}
    return {**content, "max_abs": 2, "worst": [{"index": [0, 1], "ref": 5, "got": 7}], **more}


def result(*tensors: dict[str, Any], error: str = "") -> dict[str, Any]:
    return {
        "kind": "verify",
        "time": "2026-01-02T03:04:05+00:00",
        "model": {"name": "digits"},
        "target": {"name": "bm1684"},
        "nets": [{"name": "digits", "stage": 1, "tensors": list(tensors), "error": error}],
    }


def counts(root: ET.Element) -> tuple[int, int, int]:
    """Asserts that the attributes agree with the elements of every suite and of the file."""
    found = tuple(len(root.findall(f".//{tag}")) for tag in ("testcase", "failure", "error"))
    for element in (root, *root.findall("testsuite")):
        stated = tuple(int(element.get(key, "-1")) for key in ("tests", "failures", "errors"))
        assert stated == tuple(len(element.findall(f".//{tag}")) for tag in ("testcase", "failure", "error"))
    return found[0], found[1], found[2]


def test_cases_and_failures() -> None:
    verdicts = ["EQUAL", "WITHIN", "EXTRA", "OFF_BY_LSB", "DIFFERENT", "MISSING", "SHAPE", "DTYPE", "NONFINITE"]
    content = result(*(tensor(f"t{i}", v) for i, v in enumerate(verdicts)))
    root = ET.fromstring(render_junit(content).encode())
    assert root.tag == "testsuites" and counts(root) == (10, 6, 0)
    (suite,) = root.findall("testsuite")
    assert suite.get("name") == "digits stage 1" and suite.get("timestamp") == "2026-01-02T03:04:05"
    cases = suite.findall("testcase")
    assert {c.get("classname") for c in cases} == {"digits.bm1684.stage1"}
    assert [c.get("name") for c in cases] == ["guard_rails", *(f"t{i} (inner)" for i in range(9))]
    assert [f.get("type") for f in suite.iter("failure")] == verdicts[3:]
    failure = cases[5].find("failure")
    assert failure is not None and failure.text == "[0, 1] reference 5, got 7"
    assert failure.get("message") == "Conv2d t4: DIFFERENT, 3 of 64 elements differ, largest difference 2"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (result(error="cannot run"), (2, 1, 1)),
        (result(tensor("t", "EQUAL"), error="stopped after the first"), (3, 0, 1)),
        (result(), (1, 1, 0)),
        (result(tensor("t", "EXTRA", n=0)), (2, 1, 0)),
        (result({"name": "t"}), (2, 2, 0)),
        ({"kind": "verify", "nets": []}, (1, 1, 0)),
        ({"kind": "audit", "audit": {}}, (0, 0, 0)),
        ({}, (0, 0, 0)),
    ],
)
def test_nothing_compared_is_no_success(content: dict[str, Any], expected: tuple[int, int, int]) -> None:
    assert counts(ET.fromstring(render_junit(content).encode())) == expected


def test_any_name_is_well_formed() -> None:
    name = '<b>"&\x00\x1b\ud800é'
    root = ET.fromstring(render_junit(result(tensor(name, "DIFFERENT"), error=name)).encode())
    assert root.findall(".//testcase")[-1].get("name") == '<b>"&���é (inner)'


def test_guard_rails_and_properties() -> None:
    content = result(tensor("t", "EQUAL")) | {
        "model": {"name": "digits", "model_sha256": "ab" * 32},
        "policy": {"name": "signoff", "sha256": "ef" * 32, "rules": [{"reason": "firmware 3"}]},
        "inputs": [{"name": "image", "sha256": "cd" * 32}],
        "tool": {"version": "1.2", "path": "avx2"},
        "warnings": ["reference is constant"],
    }
    root = ET.fromstring(render_junit(content).encode())
    properties = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert properties["model.model_sha256"] == "ab" * 32 and properties["inputs.image sha256"] == "cd" * 32
    assert properties["policy.sha256"] == "ef" * 32 and properties["policy.rule 1 reason"] == "firmware 3"
    assert properties["tool.path"] == "avx2"
    guard = root.find(".//testcase[@name='guard_rails']")
    assert guard is not None and guard.find("failure") is None
    assert guard.findtext("system-out") == "warning: reference is constant"


def test_the_cause_is_told_and_what_is_not_required_is_skipped() -> None:
    causes = [{"class": "TIE_ROUNDING", "status": "PROVEN", "sentence": "all at ties"}]
    content = result(
        tensor("a", "OFF_BY_LSB", origin="BORN_HERE", causes=causes),
        tensor("b", "DIFFERENT", required=False),
        tensor("c", "NOT_SIMULATED"),
        tensor("d", "EXTRA", detail="only in the run"),
    )
    root = ET.fromstring(render_junit(content).encode())
    assert counts(root) == (5, 1, 1)
    failure = root.find(".//failure")
    assert failure is not None and str(failure.get("message")).endswith("; BORN_HERE; all at ties")
    assert str(failure.text).splitlines() == ["all at ties", "[0, 1] reference 5, got 7"]
    skipped = root.find(".//skipped")
    assert skipped is not None and str(skipped.get("message")).startswith("not required by the policy; Conv2d b")
    assert root.find("testsuite").get("skipped") == "1"  # type: ignore[union-attr]
    assert root.findtext(".//testcase[@name='d (inner)']/system-out") == "only in the run"
