"""The text: 110 columns, what is known about the first divergent layer, colours only where asked for."""

from __future__ import annotations

from typing import Any

from bittrue.report.result import Cause, Result, TensorResult, new_result
from bittrue.report.text import WIDTH, histogram_line, render_text


def tensor(index: int, verdict: str = "EQUAL", origin: str = "", **more: Any) -> TensorResult:
    fields = {"name": f"t{index}_out", "layer": f"layer_with_a_rather_long_name_{index}", "op": "DepthwiseConv2d"}
    fields |= {"shape": [4], "dtype": "int8", "n": 1000, "cosine": 0.5, "evidence": "documented", "sqnr_db": 41.5}
    return TensorResult(index=index, verdict=verdict, origin=origin, **(fields | more))


def result(*tensors: TensorResult) -> Result:
    r = new_result("verify", name="net")
    r.add_stage("net", 0, list(tensors))
    return r


def failing() -> Result:
    causes = [
        Cause(cls="TIE_ROUNDING", status="PROVEN", sentence="all at exact ties; PROVEN by half_up -> half_even"),
        Cause(cls="MULTIPLIER", label="FLOAT32_SCALE", status="SUPPORTED"),
        Cause(cls="UNKNOWN", status="UNKNOWN"),
    ]
    names = [f"t{k}_out" for k in range(1, 8)]
    born = tensor(0, "OFF_BY_LSB", "BORN_HERE", n_bad=383, max_abs=1, lsb_hist={"0": 617, "1": 371, "-1": 12})
    born.causes, born.explains = causes, names
    others = [tensor(k, "DIFFERENT", "INHERITED", n_bad=999999, max_abs=2.0**70, dtype="float32") for k in range(1, 8)]
    missing = tensor(8, "MISSING", n=0, detail="the reference has this tensor, the run does not " * 3)
    return result(born, *others, missing)


def test_first_divergent_layer() -> None:
    lines = render_text(failing()).splitlines()
    text = " ".join(" ".join(line.split()) for line in lines)
    assert "layer 0 layer_with_a_rather_long_name_0 (DepthwiseConv2d, BORN_HERE): OFF_BY_LSB, 383 of 1000" in text
    assert "PROVEN by half_up -> half_even also fits: MULTIPLIER FLOAT32_SCALE SUPPORTED 7 later" in text
    assert "7 later failures inherit from it: layer_with_a_rather_long_name_1, " in text and " and 3 more" in text
    assert "  steps of difference: +1: 371, -1: 12; 617 of 1000 equal" in lines
    assert lines[-1] == "bittrue verify FAILED: first divergent layer 0 layer_with_a_rather_long_name_0"
    assert max(map(len, lines)) <= WIDTH


def test_columns_fit_and_line_up() -> None:
    lines = render_text(failing(), verbose=True).splitlines()
    header, rows = lines[0], lines[1:9]
    end = header.index("SQNR dB") + len("SQNR dB")
    assert all(row[:end].endswith("41.50") and row.endswith("documented") for row in rows)
    assert all(row[header.index("origin") :].startswith(("BORN_HERE", "INHERITED")) for row in rows)
    passing = render_text(result(tensor(0), tensor(1)), verbose=True).splitlines()
    assert "origin" not in passing[0] and max(map(len, passing)) <= WIDTH


def test_histogram_line() -> None:
    assert histogram_line({"0": 5}, 5) == histogram_line({}, 0) == ""
    assert histogram_line({"> 128": 2, "9..16": 3}, 5) == "+9..16: 3, > 128: 2; 0 of 5 equal"
    assert histogram_line({str(k): 1 for k in range(-8, 9)}, 17).endswith(", 8 more; 1 of 17 equal")


def test_colours_only_where_asked_for() -> None:
    seen = []

    def paint(text: str, colour: str) -> str:
        seen.append((text.strip(), colour))
        return f"<{text}>"

    coloured = render_text(failing(), paint=paint)
    assert coloured.replace("<", "").replace(">", "") == render_text(failing()).replace("<", "").replace(">", "")
    assert ("FAILED", "red") in seen and ("OFF_BY_LSB", "red") in seen
    assert "\x1b" not in render_text(failing())


def test_hostile_names_cannot_write_to_the_terminal() -> None:
    name = "a\x1b[31m\nbittrue verify PASSED\r\u202e"
    t = tensor(0, "DIFFERENT", "BORN_HERE", n_bad=1, layer=name, op=name, evidence=name, explains=[name])
    t.causes = [Cause(cls=name, label=name, status=name, sentence=name)] * 2
    r = result(t, tensor(1, name, layer=name, detail=name, n=0))
    r.nets[0].name, r.nets[0].error, r.warnings = name, name, [name]
    text = render_text(r, verbose=True)
    assert not set("\x1b\r\u202e") & set(text)
    assert "bittrue verify PASSED" not in text.splitlines()
