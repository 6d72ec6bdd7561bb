"""Golden data: made, verified, drifted, promoted; tampered and broken folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.commands import Command, command
from tests.shared import SHARED, needs_shared
from tests.vendor.tiny_networks import joined_dir

from bittrue import api
from bittrue.containers.bmodel import read_bmodel, write_bmodel
from bittrue.containers.context_dir import save_npz
from bittrue.containers.flat import Binary
from bittrue.errors import DataError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.regress import golden as golden_data
from bittrue.regress.golden import Golden
from bittrue.regress.subject import GraphSubject, Origin, open_subject
from bittrue.targets.override import Override, OverrideRule

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden") / "net"
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    api.compile(
        graph, "bm1684", folder, table=table, reference=next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    )
    return folder


def inputs_of(model: QuantizedModel) -> dict[str, np.ndarray]:
    graph = api.load_float(FOLDER / "digits.onnx")
    return api.reference_feeds(model, next(iter(api.records(graph, FOLDER / "test.npz"))).feeds)


def subject(context: Path, model: QuantizedModel | None = None) -> GraphSubject:
    return GraphSubject(Origin(context), model or api.load(context))


def changed(context: Path) -> QuantizedModel:
    """The model with another rounding in one layer."""
    model = api.load(context)
    rule = OverrideRule(op="Conv2d", set={"rounding": "floor"}, layers=["head_conv"])
    assert Override(target="bm1684", rules=[rule]).apply(model.graph) == 1
    model.arithmetic = {**model.arithmetic, "bm1684.round": "floor"}
    return model


@pytest.mark.parametrize("layers", [False, True])
def test_drift_is_named_and_measured(context: Path, tmp_path: Path, layers: bool) -> None:
    model, folder = api.load(context), tmp_path / "g"
    manifest = golden_data.make(subject(context, model), inputs_of(model), folder, keep_layers=layers)
    assert manifest.evidence["measured"] > 0 and manifest.path and manifest.target == "bm1684"
    golden = Golden(folder)
    assert golden.origin().source == context
    same = golden_data.verify(golden, subject(context, model))
    assert same.summary.passed and same.summary.equal == len(manifest.layers) and not same.warnings
    result = golden_data.verify(golden, subject(context, changed(context)))
    assert not result.summary.passed and "head_conv" in (result.summary.first_divergent or "")
    by_name = {t.layer: t for t in result.nets[0].tensors}
    assert by_name["stem_conv"].verdict == "EQUAL"
    assert by_name["softmax"].n_bad > 0 and by_name["softmax"].max_abs  # outputs are always kept
    if layers:
        assert by_name["head_conv"].origin == "BORN_HERE" and by_name["head_conv"].lsb_max == 1
        assert by_name["average"].origin == "INHERITED"
    else:
        assert "not kept" in by_name["head_conv"].detail
    assert result.warnings == ["rule bm1684.round was half_up, is floor"]


def test_promotion_needs_a_reason_and_keeps_it(context: Path, tmp_path: Path) -> None:
    model, folder = api.load(context), tmp_path / "g"
    first = golden_data.make(subject(context, model), inputs_of(model), folder, keep_layers=True)
    with pytest.raises(UsageError, match="reason"):
        golden_data.promote(Golden(folder), subject(context, changed(context)), "  ")
    with pytest.raises(UsageError, match="nothing drifted"):
        golden_data.promote(Golden(folder), subject(context, model), "no need")
    golden_data.promote(Golden(folder), subject(context, changed(context)), "firmware 3 rounds down in the head")
    golden = Golden(folder)
    (entry,) = golden.manifest.history
    assert entry.reason == "firmware 3 rounds down in the head" and golden.layers
    changes = {c.name: c for c in entry.changed}
    assert "head_conv_bn_out" in changes and "block1_out_relu_out" not in changes
    change = changes["head_conv_bn_out"]
    assert (change.old, change.new) == (first.layers[change.name].sha256, golden.manifest.layers[change.name].sha256)
    assert change.old != change.new and entry.old_model_sha256 == entry.new_model_sha256 == first.model_sha256
    assert golden_data.verify(golden, subject(context, changed(context))).summary.passed
    golden_data.promote(golden, subject(context, model), "back")
    assert [e.reason for e in Golden(folder).manifest.history] == ["firmware 3 rounds down in the head", "back"]


def test_two_folders_are_compared_without_running(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    inputs = inputs_of(model)
    golden_data.make(subject(context, model), inputs, tmp_path / "a")
    golden_data.make(subject(context, changed(context)), inputs, tmp_path / "b", keep_layers=True)
    result = golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "b"))
    assert not result.summary.passed and "head_conv" in result.summary.sentence
    assert golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "a")).summary.passed
    other = {n: np.flip(a).copy() for n, a in inputs.items()}
    golden_data.make(subject(context, model), other, tmp_path / "c")
    with pytest.raises(DataError, match="different inputs"):
        golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "c"))


def test_another_model_is_said(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(subject(context, model), inputs_of(model), tmp_path / "g")
    content = json.loads((tmp_path / "g/golden.json").read_text())
    content["model_sha256"] = "0" * 64
    (tmp_path / "g/golden.json").write_text(json.dumps(content))
    result = golden_data.verify(Golden(tmp_path / "g"), subject(context, model))
    assert result.summary.passed and "another model" in result.warnings[0]


def test_missing_and_extra_tensors_are_listed(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(subject(context, model), inputs_of(model), tmp_path / "g")
    golden = Golden(tmp_path / "g")
    golden.manifest.layers["gone"] = golden.manifest.layers.pop("pool_out")
    result = golden_data.verify(golden, subject(context, model))
    verdicts = {t.name: t.verdict for t in result.nets[0].tensors}
    assert (verdicts["gone"], verdicts["pool_out"]) == ("MISSING", "EXTRA") and not result.summary.passed


def test_existing_golden_data_is_not_overwritten(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(subject(context, model), inputs_of(model), tmp_path / "g")
    with pytest.raises(UsageError, match="promote"):
        golden_data.make(subject(context, model), inputs_of(model), tmp_path / "g")


def test_tampered_and_broken_folders(context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    model = api.load(context)
    golden_data.make(subject(context, model), inputs_of(model), folder)
    outputs = dict(Golden(folder).outputs)
    save_npz(folder / "outputs.npz", {n: a + 1 for n, a in outputs.items()})
    with pytest.raises(DataError, match=r"outputs\.npz: tensor 'probability'"):
        Golden(folder)
    save_npz(folder / "outputs.npz", {})
    with pytest.raises(DataError, match="probability"):
        Golden(folder)
    save_npz(folder / "outputs.npz", outputs)
    for text, message in (("{", "cannot be read"), ("{}", "schema"), ('{"schema": "bittrue-golden/1"}', "source")):
        (folder / "golden.json").write_text(text)
        with pytest.raises(DataError, match=message):
            Golden(folder)
    with pytest.raises(DataError, match=r"none/golden\.json"):
        Golden(tmp_path / "none")


def test_a_model_that_does_not_take_the_inputs(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(subject(context, model), inputs_of(model), tmp_path / "g")
    golden = Golden(tmp_path / "g")
    golden.inputs["other"] = golden.inputs.pop("image")
    with pytest.raises(DataError, match="unknown input 'other'"):
        golden_data.verify(golden, subject(context, model))


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return command(monkeypatch, capsys, "golden")


def test_the_commands(context: Path, tmp_path: Path, golden: Command) -> None:
    folder = tmp_path / "g"
    assert golden("make", context, folder, "--layers")[0] == 0
    code, text = golden("verify", folder, "--json", tmp_path / "r.json")
    assert code == 0 and "golden PASSED" in text and json.loads((tmp_path / "r.json").read_text())["kind"] == "golden"
    assert golden("make", context, folder)[0] == 2
    assert golden("promote", folder, "--reason", "")[0] == 2
    assert golden("promote", folder)[0] == 2
    assert golden("verify", tmp_path / "none")[0] == 4
    other = tmp_path / "floor.onnx"
    onnx.save(changed(context).to_onnx(), other)
    code, text = golden("verify", folder, "--model", other)
    assert code == 1 and "head_conv" in text
    assert golden("make", other, tmp_path / "h")[0] == 2  # no inputs of its own
    assert golden("make", other, tmp_path / "h", "--input", folder / "inputs.npz")[0] == 0
    assert golden("diff", folder, tmp_path / "h")[0] == 1
    assert golden("promote", folder, "--model", other, "--reason", "rounds down now")[0] == 0
    assert golden("diff", folder, tmp_path / "h")[0] == 0


def test_changed_rules_are_part_of_the_golden_data(context: Path, tmp_path: Path, golden: Command) -> None:
    """Made with --arith and --profile; verified with the same, from the folder alone."""
    profile = tmp_path / "p.yaml"
    rule = OverrideRule(op="Conv2d", set={"rounding": "floor"}, layers=["head_conv"])
    Override(target="bm1684", rules=[rule]).write(profile)
    assert golden("make", context, tmp_path / "plain")[0] == 0
    assert golden("make", context, tmp_path / "profile", "--profile", profile)[0] == 0
    profile.unlink()
    assert golden("verify", tmp_path / "profile")[0] == 0
    code, text = golden("diff", tmp_path / "plain", tmp_path / "profile")
    assert code == 1 and "head_conv" in text
    key, value = "bm1684.round", "half_even"
    assert golden("make", context, tmp_path / "arith", "--arith", f"{key}={value}")[0] == 0
    assert json.loads((tmp_path / "arith/golden.json").read_text())["arith"] == {key: value}
    assert golden("verify", tmp_path / "arith")[0] == 0
    kept = tmp_path / "profile/profile.yaml"
    kept.write_text(kept.read_text() + "# touched\n")
    code, text = golden("verify", tmp_path / "profile")
    assert code == 4 and "profile.yaml: does not fit golden.json" in text
    kept.unlink()
    assert golden("verify", tmp_path / "profile")[0] == 4


def test_stages_of_several_networks(tmp_path: Path, golden: Command) -> None:
    two = joined_dir(tmp_path / "two", ("a", (1, 3, 2, 2)), ("a", (2, 3, 2, 2)), ("b", (1, 3, 2, 2)))
    for name, stage, shape in (("a", 1, [2, 3, 2, 2]), ("b", 0, [1, 3, 2, 2])):
        folder = tmp_path / f"g_{name}"
        assert golden("make", two, folder, "--net", name, "--stage", stage)[0] == 0
        assert Golden(folder).manifest.outputs["y"].shape == shape
        assert golden("verify", folder)[0] == 0
    assert Golden(tmp_path / "g_b").inputs["x"].tobytes() == (two / "input_ref_data.dat").read_bytes()[-48:]
    assert golden("make", two, tmp_path / "none", "--net", "z")[0] == 2
    assert golden("make", two, tmp_path / "none", "--stage", 5)[0] == 2
    assert not (tmp_path / "none").exists()


@needs_shared
def test_command_streams(tmp_path: Path, golden: Command) -> None:
    """Their layers are the tensors in device memory. A changed coefficient drifts in the one that copies it."""
    assert SHARED is not None
    source = SHARED / "oracle/bm1684/bmodels/multi_stage_w"
    folder = tmp_path / "g"
    assert golden("make", source, folder, "--stage", 1, "--layers")[0] == 0
    manifest = Golden(folder).manifest
    assert manifest.precision == "compiled command streams" and manifest.evidence == {"measured": 3}
    assert list(manifest.outputs) == ["y", "w"] and len(manifest.layers) == 2 and manifest.stage == 1
    assert golden("verify", folder)[0] == 0
    changed = tmp_path / "changed"
    shutil.copytree(source, changed, copy_function=shutil.copyfile)
    changed.chmod(0o755)
    model = read_bmodel(changed / "compilation.bmodel")
    for ref in model.stages():
        data = bytearray(ref.stage.coeff_mem.binary_coeff.data)
        data[5] ^= 4
        ref.stage.coeff_mem.binary_coeff = Binary.of(bytes(data))
    write_bmodel(model, changed / "compilation.bmodel")
    code, text = golden("verify", folder, "--model", changed, "-v")
    assert code == 1 and "is another model" in text
    verdicts = {t.name: t for t in golden_data.verify(Golden(folder), open_subject(Origin(changed, stage=1))).failing}
    assert "w" in verdicts and "y" not in verdicts and len(verdicts) == 2
    assert all(t.n_bad == 1 for t in verdicts.values())
    assert golden("make", source, tmp_path / "h", "--arith", "x=y")[0] == 2
    assert golden("make", SHARED / "oracle/bm1684/bmodels/lstm_dynamic", tmp_path / "h")[0] == 3
    assert golden("promote", folder, "--model", changed, "--reason", "new weights")[0] == 0
    assert golden("verify", folder)[0] == 0
