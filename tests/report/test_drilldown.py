"""The views of failing layers and the curve."""

from __future__ import annotations

from typing import Any

from bittrue.report.curve import BOTTOM, EXACT, TOP, sqnr_curve
from bittrue.report.drilldown import drill_down, histogram, worst_first
from bittrue.report.states import STATES, state_of


def tensor(name: str, state: str, sqnr: Any = 30.0, **more: Any) -> dict[str, Any]:
    ok = state in ("equal", "masked", "within", "optional", "extra")
    return {"name": name, "index": 0, "state": state, "ok": ok, "sqnr_db": sqnr, "n": 8, "n_bad": 1, **more}


def test_states() -> None:
    def state(verdict: str, origin: str = "", **more: Any) -> str:
        return state_of({"verdict": verdict, "origin": origin, "n": 3, **more})

    assert [state("OFF_BY_LSB", o) for o in ("BORN_HERE", "BOTH", "INHERITED", "UNRESOLVED", "")] == [
        "born", "both", "inherited", "unresolved", "failed",
    ]  # fmt: skip
    assert [state(v) for v in ("EQUAL", "WITHIN", "SIMILAR", "EXTRA")] == ["equal", "within", "within", "extra"]
    assert state("EQUAL", "MASKED") == "masked" and state("MISSING", n=0) == "missing"
    assert state("DIFFERENT", "BORN_HERE", required=False) == "optional"
    assert state_of({}) == "unknown" and state("HOSTILE", "HOSTILE") == "failed"
    assert all(s.meaning for s in STATES.values())


def test_born_layers_come_first_and_then_the_noisiest() -> None:
    tensors = [
        tensor("fine", "equal"),
        tensor("inherits", "inherited", 40.0),
        tensor("inherits more", "inherited", 10.0),
        tensor("no signal", "inherited", None),
        tensor("born second", "born", 5.0),
        tensor("born third", "born", 1.0),
        tensor("gone", "missing"),
    ]
    names = [t["name"] for t in worst_first(tensors)]
    assert names == ["born second", "born third", "gone", "no signal", "inherits more", "inherits"]


def test_histogram_spans_what_occurs() -> None:
    bars = histogram({"-9..-16": 1, "0": 90, "-1": 3, "2": 6})
    assert [b["name"] for b in bars] == ["−1", "+1", "+2"]  # a range the metrics do not know is no bar
    assert [b["count"] for b in bars] == [3, 0, 6] and bars[0]["share"] == 3 / 9 and bars[2]["length"] == 1
    assert [b["name"] for b in histogram({"< -128": 1, "-128..-65": 1})] == ["< −128", "−128 … −65"]
    assert histogram({"0": 5}) == histogram({}) == []


def test_drill_down() -> None:
    t = tensor(
        "conv_out",
        "both",
        dtype="int8",
        scale=0.5,
        zero_point=2,
        bad_fraction=0.125,
        lsb_hist={"1": 1},
        nan_count=[0, 0],
        sat_ref=[0.0, 0.25],
        sat_got=[0.0, 0.5],
        worst=[{"index": [0, 3], "ref": 10, "got": 12}],
        channels={"axis": 1, "bad": [0, 1, 2, 0], "max_abs": [0, 9, 4, 0], "bias": [0, 1, 2, 0], "sqnr_db": [None] * 4},
        local={"verdict": "OFF_BY_LSB", "n_bad": 3, "sqnr_db": "Infinity", "lsb_hist": {"-1": 3}},
        causes=[{"class": "A", "status": "PROVEN"}, {"class": "B", "status": "SUPPORTED"}, {"status": "UNKNOWN"}],
        explains=[f"t{k}" for k in range(20)],
    )
    d = drill_down(t, {"t0": "layer zero"})
    metrics = {name: (ran, alone) for name, ran, alone in d["metrics"]}
    assert metrics["differing elements"] == ("1", "3") and metrics["SQNR, dB"] == ("30.0", "exact")
    assert metrics["at highest value, reference / run"] == ("25.00 % / 50.00 %", "–")
    assert not any("NaN" in name for name in metrics)
    (place,) = d["places"]
    assert (place["index"], place["difference"], place["real"]) == ("0, 3", 2.0, [4.0, 5.0])
    assert [c["k"] for c in d["channels"]["rows"]] == [1, 2] and d["channels"]["rows"][0]["share"] == 0.5
    assert len(d["histograms"]) == 2 and [c["class"] for c in d["also"]] == ["B"]
    assert d["explains"][:2] == ["layer zero", "t1"] and (d["explains_count"], d["explains_more"]) == (20, 8)


def test_curve() -> None:
    tensors = [
        tensor("a", "equal", "Infinity"),
        tensor("b", "born", 20.0, local={"sqnr_db": 20.0}),
        tensor("c", "inherited", None),
        tensor("d", "inherited", -300.0, local={"sqnr_db": "Infinity"}),
        tensor("e", "inherited", 500.0),
    ]
    curve = sqnr_curve(tensors)
    assert curve is not None
    assert curve["line"].count("M") == 2  # the layer without a value is a gap
    assert [m["state"] for m in curve["marks"]] == ["born", "inherited", "inherited"]
    assert [m["y"] for m in curve["marks"][1:]] == [BOTTOM, TOP]  # clipped
    assert curve["local"][1]["y"] == EXACT and curve["local"][1]["from"][1] == BOTTOM
    assert [tick["db"] for tick in curve["ticks"]] == [-20, 0, 20, 40, 60, 80, 100, 120]
    assert "−300.0 dB, alone exact dB" in curve["marks"][1]["title"]
    assert sqnr_curve(tensors[:1]) is None and sqnr_curve([tensors[0]] * 3) is None and sqnr_curve([]) is None
