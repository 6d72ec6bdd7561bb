"""The HTML page: self-contained, escaped, complete, small, and never better than the numbers."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from bittrue.report.html import render_html
from bittrue.report.show import show_cosine, show_db, show_number, show_p, show_percent

VOID = {"meta", "br", "link", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects the text and asserts that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parse(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    return checker


def words(page: str) -> str:
    """The text of the page with a blank between elements."""
    return " ".join(" ".join(parse(page).text).split())


def tensor(name: str, index: int, verdict: str = "EQUAL", **more: Any) -> dict[str, Any]:
    bad = verdict not in ("EQUAL", "EXTRA")
    content = {
        "name": name,
        "index": index,
        "op": "Conv2d",
        "layer": name.removesuffix("_out"),
        "role": "inner",
        "shape": [1, 16, 28, 28],
        "dtype": "uint8",
        "scale": 0.01,
        "verdict": verdict,
        "evidence": "measured",
        "n": 12544,
        "n_bad": 37 if bad else 0,
        "cosine": 0.99999999 if bad else 1.0,
        "sqnr_db": 38.25 if bad else "Infinity",
        "max_abs": 0.04 if bad else 0.0,
        "worst": [{"index": [0, 1, 2, i], "ref": 10 + i, "got": 14 + i} for i in range(8)] if bad else [],
    }
    return {**content, **more}


def failing_tensor(name: str, index: int, verdict: str = "DIFFERENT", **more: Any) -> dict[str, Any]:
    """A layer with everything a verification finds out about one."""
    content = tensor(name, index, verdict) | {
        "dtype": "int8",
        "origin": "BORN_HERE",
        "reads": [f"t{index - 1}"],
        "bad_fraction": 37 / 12544,
        "lsb_max": 4,
        "lsb_hist": {"0": 12507, "1": 30, "-1": 5, "3": 2},
        "channels": {"axis": 1, "bad": [0, 37], "max_abs": [0, 4], "bias": [0, 0.5], "sqnr_db": [None, 12.5]},
        "local": {"verdict": verdict, "n_bad": 36, "sqnr_db": 39.0, "lsb_max": 4, "sat_ref": [0, 0], "sat_got": [0, 1]},
        "causes": [
            {
                "class": "TIE_ROUNDING",
                "label": "half_even",
                "status": "PROVEN",
                "hypothesis": "rounding half_up to half_even",
                "explained": 1.0,
                "elements": 12544,
                "change": {"round": "half_even"},
                "sentence": "all at exact ties",
            },
            {"class": "MULTIPLIER", "label": "", "status": "SUPPORTED", "hypothesis": "float scale", "explained": 0.87},
        ],
        "explains": [f"t{index + 1}"],
    }
    return content | more


def result(layers: int = 12, failing: tuple[int, ...] = ()) -> dict[str, Any]:
    """A full result of a demo run; layers whose index is in `failing` differ."""
    names = [f"stage{i // 4}_block{i % 4}_relu_out_{i}" for i in range(layers)]
    tensors = [tensor(n, i, "DIFFERENT" if i in failing else "EQUAL") for i, n in enumerate(names)]
    labels = ["measured", "measured", "measured", "source", "assumed"]
    audit_layers = [
        {"name": n, "op": "Conv", "sqnr_db": 46.5 - (i * 7) % 23, "cosine": 0.9999, "evidence": labels[i % 5]}
        for i, n in enumerate(names)
    ]
    audit_layers[layers // 2]["sqnr_db"] = "Infinity"
    audit_layers[-1]["sqnr_db"] = None
    rates = {"top5": 1.0}
    return {
        "schema": "bittrue-result/1",
        "kind": "demo",
        "time": "2026-01-02T03:04:05+00:00",
        "tool": {"version": "0.1.0", "path": "generic", "threads": 2},
        "environment": {"os": "Linux 6.1 x86_64", "cpus": 2, "python": "3.11.2", "packages": {"numpy": "2.1.0"}},
        "model": {"name": "digits", "sha256": "ab" * 32},
        "target": {"name": "bm1684", "precision": "int8", "evidence": {"measured": 12, "source": 3, "assumed": 1}},
        "inputs": [{"name": "image", "sha256": "cd" * 32, "shape": [1, 1, 28, 28], "dtype": "int8"}],
        "nets": [{"name": "digits", "stage": 0, "tensors": tensors}],
        "audit": {
            "samples": 597,
            "labelled": 597,
            "float": {**rates, "top1": 588 / 597, "top1_interval": [0.9716, 0.9920]},
            "quantized": {**rates, "top1": 586 / 597, "top1_interval": [0.9673, 0.9897]},
            "agreement": 593 / 597,
            "lost": 3,
            "gained": 1,
            "flips": 4,
            "mcnemar_p": 0.625,
            "flipped": [
                {
                    "sample": 12 + i,
                    "key": f"d{i}",
                    "label": 3,
                    "float": 5 if i == 3 else 3,
                    "quantized": 3 if i == 3 else 5,
                }
                for i in range(4)
            ],
            "layers": audit_layers,
        },
        "summary": {
            "compared": layers,
            "equal": layers - len(failing),
            "failed": len(failing),
            "missing": 0,
            "elements": 12544 * layers,
            "mismatches": 37 * len(failing),
            "first_divergent": f"layer {failing[0]} {names[failing[0]]}" if failing else None,
            "passed": not failing,
            "sentence": "the first sentence of the report",
        },
        "warnings": ["the model has a constant output"],
    }


@pytest.mark.parametrize("failing", [(), (3, 4)])
@pytest.mark.parametrize("layers", [12, 90])
def test_page_is_self_contained_and_complete(layers: int, failing: tuple[int, ...]) -> None:
    content = result(layers, failing)
    page = render_html(content)
    assert not re.search(r"https?://|<script|<link|<img|url\(|@import|\son\w+=|xmlns", page)
    checker = parse(page)
    text = "".join(checker.text)
    for t in content["nets"][0]["tensors"]:
        assert t["name"] in text
    for expected in (
        "digits on bm1684 int8",
        "the first sentence",
        "cd" * 32,
        "ab" * 32,
        "numpy 2.1.0",
        "constant output",
    ):
        assert expected in text
    for evidence in ("measured", "documented", "source", "assumed"):
        assert evidence in text
    assert ("PASSED" in text) == (not failing) and ("FAILED" in text) == bool(failing)
    assert ("[0, 1, 2, 0]" in text and "The 8 largest differences" in text) == bool(failing)
    assert checker.tags.count("rect") >= layers


def test_accuracy() -> None:
    text = "".join(parse(render_html(result())).text)
    for expected in ("98.49 %", "98.16 %", "99.33 %", "97.16 % to 99.20 %", "585", "3 lost", "1 gained", "p = 0.625"):
        assert expected in text
    inconsistent = result()
    inconsistent["audit"]["gained"] = 9
    assert "float right" not in render_html(inconsistent)


def test_names_are_escaped() -> None:
    evil = """'"><b>x</b><script>alert(1)</script>\x00\x1b\u202e\ud800]]>-->{{ 7 * 7 }}"""
    content = result(3, (1,))
    content["model"] = {"name": evil, "sha256": evil}
    content["target"] = {"name": evil, "precision": evil, "evidence": {evil: 2}}
    content["tool"] = content["environment"] = {evil: evil}
    content["inputs"] = [{"name": evil, "sha256": evil, "shape": [evil], "dtype": evil}]
    content["nets"] = [
        {"name": evil, "stage": evil, "error": evil, "tensors": [tensor(evil, 0, evil, op=evil, evidence=evil)]}
    ]
    hostile = failing_tensor(evil, 0, evil, op=evil, evidence=evil, layer=evil, origin=evil, region=[evil], type=evil)
    hostile |= {"detail": evil, "rule": evil, "reads": [evil, evil + "2"], "explains": [evil], "dtype": evil}
    hostile["worst"] = [{"index": [evil], "ref": evil, "got": evil}]
    hostile["causes"] = [{k: evil for k in ("class", "label", "status", "hypothesis", "sentence", "explained")}] * 2
    hostile["causes"][0] |= {"change": {evil: evil}}
    hostile["channels"] = {"axis": evil, "bad": [1, 1], "max_abs": [evil, 1], "bias": [evil], "sqnr_db": [evil]}
    hostile["local"] = {"verdict": evil, "sqnr_db": evil, "cosine": evil}
    content["nets"][0]["tensors"] += [hostile, {**hostile, "name": f"{evil}2", "verdict": "DIFFERENT"}]
    content["summary"]["first_divergent"] = f"layer 0 {evil}"
    content["audit"]["layers"] = [{"name": evil, "op": evil, "sqnr_db": evil, "cosine": evil, "evidence": evil}]
    content["audit"]["flipped"] = [{"sample": evil, "key": evil, "label": evil, "float": evil, "quantized": evil}]
    content["summary"]["sentence"] = evil
    content["warnings"] = [evil]
    content["policy"] = {"name": evil, "base": evil, "rules": [{"match": {evil: evil}, evil: evil, "reason": evil}]}
    content["sources"] = {evil: [evil]}
    content["time"] = content["kind"] = evil
    page = render_html(content)
    assert "<b>x" not in page and "<script" not in page
    assert "&lt;b&gt;x" in page and "{{ 7 * 7 }}" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", page)
    parse(page)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "audit", "audit": {}},
        {"kind": "audit", "audit": {"float": {}, "quantized": {}, "agreement": 0.5, "layers": [], "flipped": []}},
        {"audit": {"samples": 3, "layers": [{"name": "a"}], "flipped": [{"sample": 1}]}},
        {"nets": [{}]},
        {"nets": [{"name": "n", "stage": 0, "tensors": [{}]}]},
        {"model": None, "target": None, "summary": None, "nets": None, "audit": None, "inputs": [{}], "warnings": None},
    ],
)
def test_absent_parts_are_left_out(content: dict[str, Any]) -> None:
    text = "".join(parse(render_html(content)).text)
    assert "PASSED" not in text and "NO VERDICT" in text and "None" not in text


def test_a_tensor_without_verdict_is_no_success() -> None:
    page = render_html({"nets": [{"name": "n", "stage": 0, "tensors": [{"name": "t"}]}]})
    assert 'class="bad"' in page and "UNKNOWN" in page


def test_an_audit_alone_has_no_verdict() -> None:
    content = {"kind": "audit", "audit": result()["audit"], "summary": {"passed": True}}
    text = "".join(parse(render_html(content)).text)
    assert "PASSED" not in text and "AUDIT" in text


def verification(*tensors: dict[str, Any], first: int | None = None) -> dict[str, Any]:
    failing = sum(t["verdict"] != "EQUAL" for t in tensors)
    summary: dict[str, Any] = {"compared": len(tensors), "failed": failing, "passed": not failing, "sentence": "s"}
    if first is not None:
        summary["first_divergent"] = f"layer {tensors[first]['index']} {tensors[first]['layer']}"
    return {"kind": "verify", "nets": [{"name": "n", "stage": 0, "tensors": list(tensors)}], "summary": summary}


def test_what_is_known_about_the_first_divergent_layer() -> None:
    inherits = failing_tensor("t2", 2, origin="INHERITED", causes=[], explains=[], layer="the_heir")
    content = verification(tensor("t0", 0), failing_tensor("t1", 1), inherits, first=1)
    page = render_html(content)
    header = "".join(parse(page[: page.index('<div class="cards">')] + "</body></html>").text)
    assert "PROVEN TIE_ROUNDING half_even: rounding half_up to half_even; also fits: MULTIPLIER" in header
    assert "1 later failure inherits from it: the_heir" in header
    text = words(page)
    for expected in (
        "Layers by verdict",
        "born here 1",
        "inherited 1",
        "equal 1",
        "Integer layers: largest difference per channel",
        "Signal to noise of every layer",
        "accumulated local",
        "round = half_even",
        "87.00 %",
        "1 of 2 channels differ",
        "scale 0.01",
        "Steps of difference",
    ):
        assert expected in text, expected
    assert page.count('<details class="layer born" open>') == 1 and page.count('<details class="layer inherited">') == 1


def test_policy_and_provenance() -> None:
    content = verification(tensor("t0", 0)) | {
        "policy": {
            "name": "signoff",
            "base": "exact",
            "sha256": "ee" * 32,
            "rules": [
                {
                    "match": {"op": ["Softmax", "Sigmoid"]},
                    "float": {"abs": 2e-6},
                    "reason": "modelled to 2e-6",
                    "expires": "2027-12-31",
                },
                {"match": {}, "ignore": True, "reason": "known"},
            ],
        },
        "model": {"name": "m", "model_sha256": "ab" * 32, "table_sha256": "cd" * 32},
        "target": {"name": "bm1684", "profile_sha256": "ef" * 32, "arithmetic": {"round": "half_up"}},
        "tool": {"version": "1", "path": "avx2", "threads": 3},
    }
    text = words(render_html(content))
    for expected in ("op Softmax, Sigmoid float abs 2e-06 modelled to 2e-6 2027-12-31", "everything ignore known –"):
        assert expected in text, expected
    assert all(digest * 32 in text for digest in ("ab", "cd", "ee", "ef"))
    assert "round half_up" in text and "avx2" in text


def test_a_tensor_that_is_not_required_does_not_fail() -> None:
    page = render_html(verification(failing_tensor("t0", 0, required=False), tensor("t1", 1)))
    assert "none failing" in page and "not required" in page and '<details class="layer' not in page


def test_large_results_stay_small() -> None:
    """300 layers of 2048 channels, all different: random errors do not compress."""
    rng = np.random.default_rng(0)
    tensors = []
    for k in range(300):
        largest = np.where(rng.random(2048) < 0.5, 0, rng.integers(1, 256, 2048))
        channels = {"axis": 1, "bad": largest.tolist(), "max_abs": largest.tolist(), "bias": [0.1] * 2048}
        tensors.append(failing_tensor(f"stage{k // 4}_block{k % 4}_relu_out_{k}", k, channels=channels, reads=[]))
    page = render_html(verification(*tensors))
    assert len(page.encode()) < 1_000_000
    assert page.count("stage74_block3_relu_out_299") >= 2
    assert "280 more are in the table" in page
    parse(page)


def test_command_traces_of_thousands_of_tensors_stay_small() -> None:
    page = render_html(verification(*(tensor(f"g0.bdc{k:05d}", k) for k in range(9999)), failing_tensor("last", 9999)))
    assert len(page.encode()) < 2_500_000
    assert "1,500 of 10,000 tensors, failing ones first" in page and "4,001 more are not drawn" in page


def test_numbers() -> None:
    assert show_number(1234567) == "1,234,567" and show_number(-3) == "−3"
    assert show_number(2**63 - 1) == "9,223,372,036,854,775,807"
    assert show_number(0.000123456) == "0.0001235" and show_number(4.0) == "4"
    assert [show_number(v) for v in ("Infinity", "-Infinity", "NaN", None, "x")] == ["∞", "−∞", "NaN", "–", "–"]
    assert show_percent(1.0) == "100.00 %" and show_percent(0.999999) == "> 99.99 %"
    assert show_percent(0.0) == "0.00 %" and show_percent(1e-9) == "< 0.01 %" and show_percent("NaN") == "–"
    assert show_cosine(1.0) == "1.000000" and show_cosine(0.99999999) == "> 0.999999"
    assert show_cosine(1 - 2**-53) == "1.000000" and show_cosine(-0.5) == "−0.500000"
    assert show_db("Infinity") == "exact" and show_db(41.26) == "41.3" and show_db("NaN") == "–"
    assert show_p(0.0004) == "< 0.001" and show_p(0.625) == "0.625" and show_p(None) == "–"
