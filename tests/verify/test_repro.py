"""Repro bundles: one layer, alone, fails as it did in the network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.verify.dumps import archive, compiled, inputs, model, run, tensors, write_map
from tests.verify.planted import FAULTS, plant

from bittrue import api
from bittrue.cli.explain import explain_command
from bittrue.cli.repro import repro_command
from bittrue.cli.verify import verify_command
from bittrue.containers.context_dir import ContextDir
from bittrue.report.result import Result, TensorResult
from bittrue.verify.layouts import parse_layout

LAYER = "head_conv"


def planted(fault: str, layer: str = LAYER) -> dict[str, np.ndarray]:
    """A device's dump of all layers with a fault in one."""
    graph = model().graph
    node = next(n for n in graph.nodes if n.name == layer)
    values = {**inputs(), **tensors()}
    found = plant(graph, node, next(f for f in FAULTS if f.name == fault), values, 0)
    assert found is not None
    return {n: a for n, a in found.items() if n not in graph.inputs}


def verified(folder: Path, dump: Path, *arguments: object) -> Path:
    path = folder / "result.json"
    run(verify_command, "-d", compiled(), "--layer_ref", dump, "--json", path, "--no-explain", *arguments)
    return path


def born(path: Path, layer: str = LAYER) -> TensorResult:
    tensors_ = Result.load(path).nets[0].tensors
    return next(t for t in tensors_ if t.layer == layer and t.role == "inner")


def test_the_bundle_fails_alone_as_the_layer_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = verified(tmp_path, archive(tmp_path / "device.npz", planted("floor")))
    t = born(stored)
    assert t.origin == "BORN_HERE" and t.n_bad > 0
    code, text = run(repro_command, stored, "--layer", LAYER, "-o", tmp_path / "bundle")
    assert code == 0 and f"{t.n_bad} of {t.n} elements differ" in text
    files = {f.name for f in (tmp_path / "bundle").iterdir()}
    assert files == {
        "compilation.bmodel", "input_ref_data.dat", "output_ref_data.dat", "io_info.dat", "layers_ref.npz",
        "manifest.json", "README.txt", "result.json", "target_profile.yaml",
    }  # fmt: skip
    # It needs nothing but itself: elsewhere, without the network and the dump.
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "bundle", elsewhere)
    monkeypatch.chdir(elsewhere)
    code, text = run(verify_command, "--context_dir", ".", "--json", "again.json")
    assert code == 1 and "PROVEN: rounding half_up -> floor" in text
    again = Result.load(elsewhere / "again.json")
    assert {x.n_bad for x in again.nets[0].tensors} == {t.n_bad} and {x.lsb_max for x in again.nets[0].tensors} == {1}
    assert [n.op for n in api.load(elsewhere).graph.nodes] == [t.op]
    assert Result.load(elsewhere / "result.json").summary.mismatches == again.summary.mismatches
    assert f"{t.n_bad} of {t.n} elements differ" in (elsewhere / "README.txt").read_text()
    assert ContextDir.open(elsewhere).manifest["reference_made_by"] == "device.npz"
    code, text = run(explain_command, "result.json")
    assert code == 0 and "rounding half_up -> floor" in text


def test_the_bundle_of_a_mapped_dump_holds_the_models_tensors(tmp_path: Path) -> None:
    """Names, layout and raw files are the device's; explain and repro read them as verify did."""
    layout = parse_layout("NHWC:C=16")
    dump = archive(tmp_path / "device", {f"L_{n}": layout.pack(a) for n, a in planted("floor").items()})
    mapped = write_map(tmp_path, patterns=[{"from": "L_(.*)", "to": r"\1"}])
    stored = verified(tmp_path, dump, "--map", mapped, "--layout", layout.text)
    t = born(stored)
    assert (t.origin, t.layout) == ("BORN_HERE", layout.text)
    code, text = run(explain_command, stored, "--layer", LAYER)
    assert code == 0 and "rounding half_up -> floor" in text
    # A second sample from the same place has the same names and the same layout.
    for name, values, agrees in (("agrees", planted("floor"), True), ("denies", tensors(), False)):
        second = archive(tmp_path / name, {f"L_{n}": layout.pack(a) for n, a in {**inputs(), **values}.items()})
        code, text = run(explain_command, stored, "--layer", LAYER, "--second", second)
        assert code == 0 and ("PROVEN: rounding half_up -> floor" in text) == agrees
    assert run(repro_command, stored, "--layer", t.name, "-o", tmp_path / "bundle")[0] == 0
    assert api.verify(tmp_path / "bundle", explain=False).nets[0].tensors[-1].n_bad == t.n_bad


def test_a_gap_in_the_reference_makes_a_bundle_of_several_layers(tmp_path: Path) -> None:
    graph = model().graph
    node = next(n for n in graph.nodes if n.name == LAYER)
    before = next(i for i in node.inputs if i not in graph.constants)
    values = planted("floor")
    del values[before]
    stored = verified(tmp_path, archive(tmp_path / "device.npz", values))
    t = born(stored)
    assert t.origin == "UNRESOLVED"
    assert run(repro_command, stored, "--layer", LAYER, "-o", tmp_path / "bundle")[0] == 0
    nodes = [n.name for n in api.load(tmp_path / "bundle").graph.nodes]
    assert nodes == t.region and len(nodes) > 1
    assert api.verify(tmp_path / "bundle", explain=False).nets[0].tensors[-1].n_bad == t.local["n_bad"]


def test_what_cannot_be_reproduced_says_why(tmp_path: Path) -> None:
    values = planted("bias missing", "stem_conv")
    absent = "head_silu"
    del values[next(n for n in model().graph.nodes if n.name == absent).outputs[0]]
    dump = archive(tmp_path / "device.npz", values)
    stored = verified(tmp_path, dump)
    inherited = next(t for t in Result.load(stored).nets[0].tensors if t.origin == "INHERITED" and t.role == "inner")
    out = tmp_path / "bundle"
    for layer, code, message in (
        (inherited.layer, 2, "(INHERITED) is equal on the reference's own inputs"),
        (absent, 2, "the reference has no values"),
        ("no_such_layer", 2, "has no layer 'no_such_layer'"),
    ):
        assert run(repro_command, stored, "--layer", layer, "-o", out)[0] == code
        assert message in run(repro_command, stored, "--layer", layer, "-o", out)[1]
    content = json.loads(stored.read_text())
    content["sources"] = {}
    (tmp_path / "other.json").write_text(json.dumps(content))
    assert run(repro_command, tmp_path / "other.json", "--layer", "stem_conv", "-o", out)[0] == 2
    (tmp_path / "file").write_text("")
    assert run(repro_command, stored, "--layer", "stem_conv", "-o", tmp_path / "file")[0] == 4
    dump.unlink()
    assert run(repro_command, stored, "--layer", "stem_conv", "-o", out)[0] == 4
    assert not out.exists() and not list(tmp_path.glob(".repro*"))


def test_an_applied_profile_travels_with_the_bundle(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    rule = "{op: Conv2d, when: {rounding: half_up}, set: {rounding: floor}}"
    profile.write_text(f"schema: bittrue-profile/1\ntarget: bm1684\nrules: [{rule}]\n")
    stored = verified(tmp_path, archive(tmp_path / "device.npz", dict(tensors())), "--profile", profile)
    failing = next(t for t in Result.load(stored).nets[0].tensors if t.origin in ("BORN_HERE", "BOTH"))
    assert run(repro_command, stored, "--layer", failing.layer, "-o", tmp_path / "bundle")[0] == 0
    assert (tmp_path / "bundle/user_profile.yaml").read_text() == profile.read_text()
    again = api.verify(tmp_path / "bundle", explain=False).nets[0].tensors[-1]
    assert again.n_bad == failing.local["n_bad"] > 0
