"""The loop of a user: verify a dump, explain, write a profile, verify with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from tests.verify.planted import FAULTS, plant
from tests.verify.test_planted import clean_run, digits

from bittrue import api
from bittrue.cli.explain import explain_command
from bittrue.cli.verify import verify_command
from bittrue.containers.context_dir import save_npz
from bittrue.errors import BittrueError, DataError, MismatchError, UsageError
from bittrue.report.result import Result
from bittrue.targets.override import load_override

FOLDER = Path(__file__).resolve().parents[2] / "reference_data/digits"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain") / "net"
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    feeds = next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    api.compile(graph, "bm1684", folder, table=table, reference=feeds)
    return folder


def dump(folder: Path, fault: str, layer: str) -> Path:
    model, feeds = digits("bm1684")
    node = next(n for n in model.graph.nodes if n.name == layer)
    planted = plant(model.graph, node, next(f for f in FAULTS if f.name == fault), clean_run(model, feeds), 0)
    assert planted is not None
    path = folder / "device.npz"
    save_npz(path, {n: a for n, a in planted.items() if n not in model.graph.inputs})
    return path


def run(command: object, *arguments: object) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)  # type: ignore[arg-type]
    if result.exception is not None and not isinstance(result.exception, BittrueError):
        raise result.exception
    return " ".join(result.output.split()), result.exception  # text is wrapped


def test_a_proven_rule_becomes_a_profile_that_makes_the_dump_pass(context: Path, tmp_path: Path) -> None:
    device, stored, profile = dump(tmp_path, "floor", "head_conv"), tmp_path / "r.json", tmp_path / "p.yaml"
    text, error = run(verify_command, "-d", context, "--layer_ref", device, "--json", stored)
    assert isinstance(error, MismatchError) and "PROVEN: rounding half_up -> floor" in text
    assert "first divergent layer 9 head_conv" in text
    text, error = run(explain_command, stored, "--layer", "head_conv", "--write-profile", profile)
    assert error is None and "all 768 elements are equal" in text
    assert load_override(profile, "bm1684").rules[0].set == {"rounding": "floor"}
    # The reference data of the directory itself does not have the fault.
    assert api.verify(context).summary.passed
    assert not api.verify(context, profile=profile).summary.passed
    tested = tmp_path / "device"
    shutil.copytree(context, tested)
    (tested / "manifest.json").unlink()
    (tested / "output_ref_data.dat").write_bytes(np.load(device)["probability"].tobytes())
    text, error = run(verify_command, "-d", tested, "--layer_ref", device, "--profile", profile)
    assert error is None and "bittrue verify PASSED" in text


def test_inherited_and_equal_layers_need_no_explanation(context: Path, tmp_path: Path) -> None:
    device, stored = dump(tmp_path, "bias missing", "stem_conv"), tmp_path / "r.json"
    run(verify_command, "-d", context, "--layer_ref", device, "--json", stored, "--no-explain")
    assert not any(t.causes for t in Result.load(stored).nets[0].tensors)
    assert "only because its inputs do" in run(explain_command, stored, "--layer", "pool")[0]
    text, _ = run(explain_command, stored, "--json", tmp_path / "e.json")
    assert "bias left out" in text
    again = Result.load(tmp_path / "e.json")
    assert again.nets[0].tensors[1].causes[0].cls == "BIAS" and "bias left out" in again.summary.sentence


def test_bad_requests(context: Path, tmp_path: Path) -> None:
    device, stored = dump(tmp_path, "offset +1", "stem_conv"), tmp_path / "r.json"
    run(verify_command, "-d", context, "--layer_ref", device, "--json", stored)
    assert isinstance(run(explain_command, stored, "--layer", "nowhere")[1], UsageError)
    assert isinstance(run(explain_command, stored, "--write-profile", tmp_path / "p.yaml")[1], UsageError)
    assert not (tmp_path / "p.yaml").exists()
    assert isinstance(run(explain_command, tmp_path / "no.json")[1], DataError)
    result = Result.load(stored)
    result.inputs[0]["sha256"] = "0" * 64
    result.save(stored)
    assert isinstance(run(explain_command, stored)[1], DataError)
    result.sources = {}
    result.save(stored)
    assert isinstance(run(explain_command, stored)[1], UsageError)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema": "bittrue-profile/2", "target": "bm1684", "rules": []}, "schema"),
        ({"schema": "bittrue-profile/1", "target": "bm1684", "rules": [{"op": "Conv2d"}]}, "set"),
        ({"schema": "bittrue-profile/1", "target": "bm1684x", "rules": []}, "bm1684x"),
    ],
)
def test_bad_profiles(context: Path, tmp_path: Path, content: dict[str, object], message: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UsageError, match=message):
        api.verify(context, profile=path)


def test_a_part_of_the_layers_at_a_time_changes_nothing(context: Path, tmp_path: Path) -> None:
    device = dump(tmp_path, "half range", "block1_add")
    whole = api.verify(context, layer_reference=device)
    parts = api.verify(context, layer_reference=device, max_memory=2000)
    assert [t.model_dump() for t in whole.nets[0].tensors] == [t.model_dump() for t in parts.nets[0].tensors]


def test_the_result_does_not_depend_on_path_or_threads(context: Path, tmp_path: Path) -> None:
    device = dump(tmp_path, "scale times 1.06", "branch_a_conv")
    one = api.verify(context, layer_reference=device, path="reference", threads=1)
    two = api.verify(context, layer_reference=device, threads=2)
    assert np.array_equal(
        [t.model_dump_json() for t in one.nets[0].tensors], [t.model_dump_json() for t in two.nets[0].tensors]
    )


def test_a_second_sample_must_agree(context: Path, tmp_path: Path) -> None:
    device, stored, other = dump(tmp_path, "floor", "head_conv"), tmp_path / "r.json", tmp_path / "second.npz"
    run(verify_command, "-d", context, "--layer_ref", device, "--json", stored, "--no-explain")
    model, feeds = digits("bm1684")
    node = next(n for n in model.graph.nodes if n.name == "head_conv")
    mirrored = clean_run(model, {n: np.ascontiguousarray(a[..., ::-1]) for n, a in feeds.items()})
    faulty = plant(model.graph, node, next(f for f in FAULTS if f.name == "floor"), mirrored, 0)
    assert faulty is not None
    save_npz(other, faulty)
    assert "and all 768 of the second sample" in run(explain_command, stored, "--second", other)[0]
    save_npz(other, mirrored)  # a sample without the fault: floor is not the cause of both
    assert "PROVEN" not in run(explain_command, stored, "--second", other)[0]


def test_compile_and_run_take_a_profile(tmp_path: Path) -> None:
    profile = tmp_path / "p.yaml"
    rule = {"op": "Conv2d", "when": {"rounding": "half_up"}, "set": {"rounding": "floor"}}
    profile.write_text(yaml.safe_dump({"schema": "bittrue-profile/1", "target": "bm1684", "rules": [rule]}))
    graph = api.load_float(FOLDER / "digits.onnx")
    table = api.calibrate(graph, api.records(graph, FOLDER / "calibration.npz"), method="max")
    feeds = next(iter(api.records(graph, FOLDER / "test.npz"))).feeds
    plain, changed = tmp_path / "plain", tmp_path / "changed"
    api.compile(graph, "bm1684", plain, table=table, reference=feeds)
    model = api.compile(graph, "bm1684", changed, table=table, reference=feeds, profile=profile)
    assert model.meta["user_profile"] == "p.yaml" and model.meta["changed_layers"] == 6
    assert {n.attrs["evidence"] for n in model.graph.nodes if n.op == "Conv2d"} == {"user"}
    assert api.verify(changed).summary.passed  # numpy models and core agree on the changed arithmetic
    inputs = api.reference_feeds(model, feeds)
    by_profile = api.open_session(plain, profile=profile).run(inputs).outputs["probability"]
    assert np.array_equal(by_profile, api.open_session(changed).run(inputs).outputs["probability"])
    assert not np.array_equal(by_profile, api.open_session(plain).run(inputs).outputs["probability"])
