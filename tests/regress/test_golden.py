"""Golden data: made, verified, drifted, promoted; tampered and broken folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from bittrue import api
from bittrue.containers.context_dir import save_npz
from bittrue.errors import DataError, UsageError
from bittrue.quantize.model import QuantizedModel
from bittrue.regress import golden as golden_data
from bittrue.regress.golden import Golden
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
    manifest = golden_data.make(context, model, inputs_of(model), folder, keep_layers=layers)
    assert manifest.evidence["measured"] > 0 and manifest.path and manifest.target == "bm1684"
    golden = Golden(folder)
    assert golden.source() == context
    same = golden_data.verify(golden, context, model)
    assert same.summary.passed and same.summary.equal == len(manifest.layers) and not same.warnings
    result = golden_data.verify(golden, context, changed(context))
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
    golden_data.make(context, model, inputs_of(model), folder, keep_layers=True)
    with pytest.raises(UsageError, match="reason"):
        golden_data.promote(Golden(folder), context, changed(context), "  ")
    with pytest.raises(UsageError, match="nothing drifted"):
        golden_data.promote(Golden(folder), context, model, "no need")
    golden_data.promote(Golden(folder), context, changed(context), "firmware 3 rounds down in the head")
    golden = Golden(folder)
    (entry,) = golden.manifest.history
    assert entry.reason == "firmware 3 rounds down in the head" and "head_conv_bn_out" in entry.changed
    assert "block1_out_relu_out" not in entry.changed and golden.layers
    assert golden_data.verify(golden, context, changed(context)).summary.passed
    golden_data.promote(golden, context, model, "back")
    assert [e.reason for e in Golden(folder).manifest.history] == ["firmware 3 rounds down in the head", "back"]


def test_two_folders_are_compared_without_running(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    inputs = inputs_of(model)
    golden_data.make(context, model, inputs, tmp_path / "a")
    golden_data.make(context, changed(context), inputs, tmp_path / "b", keep_layers=True)
    result = golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "b"))
    assert not result.summary.passed and "head_conv" in result.summary.sentence
    assert golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "a")).summary.passed
    other = {n: np.flip(a).copy() for n, a in inputs.items()}
    golden_data.make(context, model, other, tmp_path / "c")
    with pytest.raises(DataError, match="different inputs"):
        golden_data.diff(Golden(tmp_path / "a"), Golden(tmp_path / "c"))


def test_another_model_is_said(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(context, model, inputs_of(model), tmp_path / "g")
    content = json.loads((tmp_path / "g/golden.json").read_text())
    content["model_sha256"] = "0" * 64
    (tmp_path / "g/golden.json").write_text(json.dumps(content))
    result = golden_data.verify(Golden(tmp_path / "g"), context, model)
    assert result.summary.passed and "another model" in result.warnings[0]


def test_missing_and_extra_tensors_are_listed(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(context, model, inputs_of(model), tmp_path / "g")
    golden = Golden(tmp_path / "g")
    golden.manifest.layers["gone"] = golden.manifest.layers.pop("pool_out")
    result = golden_data.verify(golden, context, model)
    verdicts = {t.name: t.verdict for t in result.nets[0].tensors}
    assert (verdicts["gone"], verdicts["pool_out"]) == ("MISSING", "EXTRA") and not result.summary.passed


def test_existing_golden_data_is_not_overwritten(context: Path, tmp_path: Path) -> None:
    model = api.load(context)
    golden_data.make(context, model, inputs_of(model), tmp_path / "g")
    with pytest.raises(UsageError, match="promote"):
        golden_data.make(context, model, inputs_of(model), tmp_path / "g")


def test_tampered_and_broken_folders(context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    model = api.load(context)
    golden_data.make(context, model, inputs_of(model), folder)
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
    golden_data.make(context, model, inputs_of(model), tmp_path / "g")
    golden = Golden(tmp_path / "g")
    golden.inputs["other"] = golden.inputs.pop("image")
    with pytest.raises(DataError, match="unknown input 'other'"):
        golden_data.verify(golden, context, model)


def test_the_commands(context: Path, tmp_path: Path) -> None:
    def golden(*arguments: object) -> tuple[int, str]:
        run = subprocess.run(
            [sys.executable, "-m", "bittrue.cli.main", "golden", *map(str, arguments)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return run.returncode, run.stdout + run.stderr

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
