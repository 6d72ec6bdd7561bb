"""Compiled models, float models and stored results: what is compared, what fails, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.shared import SHARED, needs_shared
from tests.verify.dumps import DIGITS, archive, compiled, inputs, model, run, tensors

from bittrue import api
from bittrue.cli.compare import compare_command
from bittrue.cli.verify import verify_command
from bittrue.errors import DataError, UsageError
from bittrue.model_files import Reference, write_compiled
from bittrue.quantize.model import QuantizedModel
from bittrue.report.result import Result, TensorResult
from bittrue.runtime.session import Session
from bittrue.verify.policy import Policy

NONE = Policy(name="measure", base="none")


def rewritten(folder: Path, change: object) -> Path:
    """The digits network with something changed in its graph, as a context directory of the same inputs."""
    changed = QuantizedModel.from_onnx(model().to_onnx())
    change(changed)  # type: ignore[operator]
    session = Session(changed.graph)
    trace = {n: a for n, a in session.run(inputs(), trace=True).trace.items() if n not in inputs()}
    write_compiled(changed, folder, Reference(inputs(), trace), {}, net_name="net", arena=session.arena_bytes)
    return folder


def test_a_model_equals_itself_in_every_form(tmp_path: Path) -> None:
    net = compiled()
    quantized = tmp_path / "q.onnx"
    onnx.save(model().to_onnx(), quantized)
    samples = archive(tmp_path / "x.npz", inputs())
    result = api.compare(net, net)
    assert result.summary.passed and result.inputs[0]["sha256"]
    roles = {t.role for t in result.nets[0].tensors}
    assert roles == {"coefficient", "inner", "output"}
    assert {t.name for t in result.nets[0].tensors if t.role == "inner"} >= set(tensors()) - set(model().graph.outputs)
    without = api.compare(net / "compilation.bmodel", net)
    assert without.summary.passed and {t.role for t in without.nets[0].tensors} == {"coefficient"}
    assert "only structure and coefficients" in without.warnings[0]
    with_inputs = api.compare(net / "compilation.bmodel", net, inputs=samples)
    assert with_inputs.summary.compared == result.summary.compared
    # A quantized .onnx has no network name and no io records of the file: that is said, the rest is equal.
    onnx_result = api.compare(quantized, net, inputs=samples, policy=NONE)
    assert onnx_result.summary.mismatches == 0 and onnx_result.summary.compared == result.summary.compared


def test_another_weight_is_found_in_its_layer(tmp_path: Path) -> None:
    node = next(n for n in model().graph.nodes if n.op == "Conv2d")

    def change(m: QuantizedModel) -> None:
        weights = m.graph.constants[node.inputs[1]].copy()
        weights ^= 16
        m.graph.constants[node.inputs[1]] = weights

    other = rewritten(tmp_path / "other", change)
    result = api.compare(compiled(), other)
    by_role = {(t.name, t.role): t for t in result.nets[0].tensors}
    assert by_role[node.inputs[1], "coefficient"].verdict == "DIFFERENT"
    first = by_role[node.outputs[0], "inner"]
    assert (first.layer, first.origin) == (node.name, "BORN_HERE") and "the reference" in first.detail
    assert result.summary.first_divergent == first.title and not result.summary.passed
    assert run(verify_command, "-d", other, "--against", compiled())[0] == 1


def test_another_rounding_is_a_difference_of_structure(tmp_path: Path) -> None:
    node = next(n for n in model().graph.nodes if n.attrs.get("rounding") == "half_up")

    def change(m: QuantizedModel) -> None:
        next(n for n in m.graph.nodes if n.name == node.name).attrs["rounding"] = "floor"

    other = rewritten(tmp_path / "other", change)
    result = api.compare(compiled(), other)
    assert any("layers differ in 1 of" in w and node.name in w and "rounding=floor" in w for w in result.warnings)
    assert "1 differences in structure" in result.nets[0].error
    (tmp_path / "x").mkdir()
    shutil.copy(other / "compilation.bmodel", tmp_path / "x/a.bmodel")
    code, text = run(compare_command, compiled(), tmp_path / "x/a.bmodel")  # weights are equal, the structure is not
    assert code == 1 and "differences in structure" in text
    assert api.compare(compiled(), tmp_path / "x/a.bmodel", policy=NONE).summary.passed


def test_other_quantization_is_compared_as_real_values() -> None:
    result = api.compare(compiled("max"), compiled("kl"))
    assert any(w.startswith("network net stage 0: quantization differ") for w in result.warnings)
    assert not result.summary.passed and "structure" in result.nets[0].error
    requantized = [t for t in result.nets[0].tensors if "compared as dequantized floats" in t.detail]
    assert requantized and all(t.dtype == "float32" for t in requantized)
    audit = api.compare(compiled("max"), compiled("kl"), policy=Policy(name="audit", base="audit", rules=[]))
    layers = [t for t in audit.nets[0].tensors if t.role != "coefficient"]
    assert all(t.verdict in ("SIMILAR", "EQUAL") for t in layers)


def test_models_with_reference_data_of_other_inputs_are_refused() -> None:
    code, text = run(compare_command, compiled(), compiled(sample=1))
    assert code == 4 and "differs: SHA-256" in text
    assert "differs: SHA-256" in run(compare_command, compiled(), compiled(sample=1), "--allow-other-inputs")[1]


def test_stages_that_one_side_lacks_fail(tmp_path: Path) -> None:
    from bittrue.cli.bmodel import bmodel_group

    other = tmp_path / "single.bmodel"
    shutil.copy(compiled() / "compilation.bmodel", other)
    renamed = rewritten(tmp_path / "r", lambda m: None)
    both = tmp_path / "both.bmodel"
    api_model = api.load(renamed)
    assert api_model.target == "bm1684"
    session = Session(api_model.graph)
    trace = session.run(inputs()).outputs
    made = Reference(inputs(), trace)
    write_compiled(api_model, tmp_path / "n2", made, {}, net_name="second", arena=session.arena_bytes)
    code, text = run(bmodel_group, "combine", other, tmp_path / "n2/compilation.bmodel", "-o", both)
    assert code == 0, text
    result = api.compare(both, other)
    assert {n.name: n.error for n in result.nets} == {"second": "only in the reference", "net": ""}
    assert not result.summary.passed and "second" in result.summary.sentence


def test_float_against_quantized_is_judged_by_averages(tmp_path: Path) -> None:
    result = api.compare(DIGITS / "digits.onnx", compiled())
    assert result.summary.passed and result.policy["base"] == "audit"
    words = {t.verdict for t in result.nets[0].tensors}
    assert "SIMILAR" in words and words <= {"SIMILAR", "EQUAL", "MISSING", "EXTRA"}
    named = [t for t in result.nets[0].tensors if t.verdict == "SIMILAR"]
    assert all(t.dtype == "float32" and t.layer and t.cosine is not None and t.cosine < 1 for t in named)
    samples = archive(tmp_path / "x.npz", next(iter(_samples())))
    given = api.compare(DIGITS / "digits.onnx", compiled() / "compilation.bmodel", inputs=samples)
    assert given.summary.passed and given.inputs == result.inputs
    # The same comparison through `verify`, and with the exact policy it fails.
    assert run(verify_command, "-d", compiled(), "--against", DIGITS / "digits.onnx")[0] == 0
    assert not api.compare(DIGITS / "digits.onnx", compiled(), policy=Policy()).summary.passed


def _samples() -> list[dict[str, np.ndarray]]:
    graph = api.load_float(DIGITS / "digits.onnx")
    return [next(iter(api.records(graph, DIGITS / "test.npz"))).feeds]


def test_float_against_a_broken_model_fails(tmp_path: Path) -> None:
    node = next(n for n in model().graph.nodes if n.op == "Conv2d")

    def change(m: QuantizedModel) -> None:
        m.graph.constants[node.inputs[1]] = -m.graph.constants[node.inputs[1]]

    result = api.compare(DIGITS / "digits.onnx", rewritten(tmp_path / "other", change))
    assert not result.summary.passed and result.summary.first_visible is not None
    assert node.outputs[0] in {t.name for t in result.nets[0].tensors if t.verdict == "DIFFERENT"}


def test_float_needs_inputs_that_fit(tmp_path: Path) -> None:
    bmodel = compiled() / "compilation.bmodel"
    assert run(compare_command, DIGITS / "digits.onnx", bmodel)[0] == 2
    (name,) = inputs()
    for arrays in ({"y": np.zeros(1)}, {name: np.zeros((1, 1, 2, 2), np.float32)}):
        samples = archive(tmp_path / "x.npz", arrays)
        assert run(compare_command, DIGITS / "digits.onnx", bmodel, "--input", samples)[0] == 4


def stored(path: Path, *results: TensorResult) -> Path:
    from bittrue.report.result import new_result

    result = new_result("verify", name="net")
    result.inputs = [{"name": "x", "sha256": "0" * 64}]
    result.add_stage("net", 0, list(results))
    result.save(path)
    return path


def tensor(name: str, verdict: str, n_bad: int = 0, **fields: object) -> TensorResult:
    return TensorResult(name=name, index=0, shape=[4], dtype="int8", verdict=verdict, n=4, n_bad=n_bad, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "word", "code"),
    [
        (tensor("y", "EQUAL"), tensor("y", "EQUAL"), "SAME", 0),
        (tensor("y", "EQUAL"), tensor("y", "WITHIN", 1), "WORSE", 1),
        (tensor("y", "WITHIN", 1), tensor("y", "WITHIN", 2), "WORSE", 1),
        (tensor("y", "DIFFERENT", 3), tensor("y", "DIFFERENT", 3), "SAME", 0),
        (tensor("y", "DIFFERENT", 3), tensor("y", "EQUAL"), "BETTER", 0),
        (tensor("y", "SIMILAR", 3, sqnr_db=30.0), tensor("y", "SIMILAR", 3, sqnr_db=29.9), "WORSE", 1),
        (tensor("y", "SIMILAR", 3, sqnr_db=30.0), tensor("y", "SIMILAR", 3, sqnr_db=30.1), "BETTER", 0),
        (tensor("y", "EQUAL", sqnr_db=float("inf")), tensor("y", "EQUAL", sqnr_db=float("inf")), "SAME", 0),
        (tensor("y", "OFF_BY_LSB", 2), tensor("y", "NONFINITE", 1), "WORSE", 1),
    ],
)
def test_two_results_say_what_got_worse(
    tmp_path: Path, before: TensorResult, after: TensorResult, word: str, code: int
) -> None:
    a, b = stored(tmp_path / "a.json", before), stored(tmp_path / "b.json", after)
    assert run(compare_command, a, b)[0] == code
    result = api.compare(a, b)
    assert result.nets[0].tensors[0].verdict == word
    if before.verdict != after.verdict:
        assert f"{before.verdict} -> {after.verdict}" in result.nets[0].tensors[0].detail
    result.save(tmp_path / "c.json")
    assert Result.load(tmp_path / "c.json").summary.passed == (code == 0)


def test_results_that_do_not_belong_together(tmp_path: Path) -> None:
    a = stored(tmp_path / "a.json", tensor("x", "EQUAL"), tensor("y", "EQUAL"))
    missing = api.compare(a, stored(tmp_path / "b.json", tensor("y", "EQUAL"), tensor("z", "EQUAL")))
    words = {t.name: t.verdict for t in missing.nets[0].tensors}
    assert words == {"x": "MISSING", "y": "SAME", "z": "EXTRA"} and not missing.summary.passed
    with pytest.raises(DataError, match="nothing was compared"):
        api.compare(a, stored(tmp_path / "c.json", tensor("other", "EQUAL")))
    other = Result.load(a)
    other.inputs[0]["sha256"] = "1" * 64
    other.save(tmp_path / "d.json")
    assert run(compare_command, a, tmp_path / "d.json")[0] == 4
    assert run(compare_command, a, tmp_path / "d.json", "--allow-other-inputs")[0] == 0


def test_real_results_of_a_regression(tmp_path: Path) -> None:
    device = dict(tensors())
    name = next(n for n in device if n not in model().graph.outputs and device[n].dtype == np.int8)
    device[name] = device[name] ^ 1
    dump = archive(tmp_path / "d.npz", device)
    run(verify_command, "-d", compiled(), "--json", tmp_path / "good.json")
    run(verify_command, "-d", compiled(), "--layer_ref", dump, "--json", tmp_path / "bad.json", "--no-explain")
    reports = [a for kind in ("html", "junit", "csv", "json") for a in (f"--{kind}", tmp_path / f"report.{kind}")]
    code, text = run(compare_command, tmp_path / "good.json", tmp_path / "bad.json", *reports)
    assert all("WORSE" in path.read_text() for path in reports[1::2])
    assert code == 1 and "EQUAL -> OFF_BY_LSB" in text and text.count("WORSE") >= 1
    assert run(compare_command, tmp_path / "bad.json", tmp_path / "good.json")[0] == 0


def test_pairs_and_options_that_do_not_go_together(tmp_path: Path) -> None:
    dump = archive(tmp_path / "d.npz", dict(tensors()))
    for arguments, message in (
        ((dump, compiled()), "d.npz: archive or folder"),
        ((compiled(), DIGITS / "digits.onnx"), "can be compared"),
        ((compiled(), compiled(), "--layout", "NHWC"), "--map, --layout"),
        ((dump, dump, "--input", dump), "--input is not for these"),
    ):
        code, text = run(compare_command, *arguments)
        assert code == 2 and message in text
    with pytest.raises(UsageError, match="give one"):
        api.compare(dump, dump, policy=Policy(), accuracy_i=1)
    (tmp_path / "x.json").write_text("{}")
    assert run(compare_command, tmp_path / "x.json", tmp_path / "x.json")[0] == 4
    assert run(compare_command, dump, tmp_path / "absent.npz")[0] == 4
    command = ("-d", compiled(), "--against", dump, "--layer_ref", dump)
    assert run(verify_command, *command)[0] == 2
    assert run(verify_command, "-d", compiled(), "--against", dump)[0] == 0
    assert run(verify_command, "-d", compiled(), "--against", compiled(), "--stage_idx", 0)[0] == 2


@needs_shared
def test_command_streams_of_vendor_models(tmp_path: Path) -> None:
    assert SHARED is not None
    net = SHARED / "oracle/bm1684/bmodels/rec_cnn"
    result = api.compare(net, net)
    assert result.summary.passed and {t.role for t in result.nets[0].tensors} == {"coefficient", "output"}
    assert any("cmd_group" in t.name for t in result.nets[0].tensors)
    other = api.compare(net, SHARED / "oracle/bm1684/bmodels/reconnet")
    assert not other.summary.passed and "differences in structure" in other.nets[0].error
