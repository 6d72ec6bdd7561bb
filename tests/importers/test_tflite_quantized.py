"""Quantized TFLite models: equal to LiteRT's reference kernels in every element; its default kernels explained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bittrue import api
from bittrue.cli.explain import explain_command
from bittrue.containers.context_dir import save_npz
from bittrue.errors import BittrueError, DataError, UnsupportedError
from bittrue.importers.tflite_quantized import load_tflite
from bittrue.importers.tflite_quantized.sums import pads
from bittrue.quantize.quantizer import quantize
from bittrue.report.result import BORN, Result
from bittrue.targets.loader import load_target
from bittrue.targets.override import change_arithmetic, load_override
from bittrue.verify.explain.dump import explain_dump
from tests.shared import SHARED, needs_shared

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")
from tools.litert_dump import litert_dump

FOLDER = (SHARED or Path()) / "models/tflite"
EXACT = [
    "mlperf-tiny/kws_ref_model", "mlperf-tiny/pretrainedResnet_quant", "mlperf-tiny/vww_96_int8",
    "coral/mobilenet_v1_0.25_128_quant", "tflm/micro_speech_quantized", "tflm/hello_world_int8",
    "tflm/simple_add_model", "arm-kws/CNN/CNN_S/cnn_s_quantized", "arm-kws/DNN/DNN_S/dnn_s_quantized",
    "ssd-slim/ssd_slim_120x160x1_v1_int8",
]  # fmt: skip
REQUANTIZED_IN_FLOAT = ["mlperf-tiny/kws_ref_model", "mlperf-tiny/vww_96_int8", "coral/mobilenet_v1_0.25_128_quant"]


@needs_shared
@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_element_of_the_reference_kernels(name: str, seed: int) -> None:
    file = FOLDER / f"{name}.tflite"
    model = load_tflite(file)
    result, _ = explain_dump(model, litert_dump(file, seed=seed))
    assert result.summary.passed and result.summary.mismatches == 0
    added = {"/nhwc", "/flat"}  # tensors of the graph that TFLite does not have
    own = [n for n in model.graph.activations() if not any(n.endswith(s) for s in added)]
    assert result.summary.compared == len(own) - len(model.graph.inputs)


@needs_shared
@pytest.mark.parametrize("name", REQUANTIZED_IN_FLOAT)
def test_float_requantization_of_the_default_kernels_is_proven(name: str) -> None:
    file = FOLDER / f"{name}.tflite"
    result, override = explain_dump(load_tflite(file), litert_dump(file, reference=False))
    tensors = result.nets[0].tensors
    born = [t for t in tensors if t.origin in BORN and t.op == "Conv2d"]
    assert len(born) > 5 and result.summary.first_divergent == born[0].title
    for t in born:
        cause = t.causes[0]
        assert (cause.status, cause.cls, cause.label) == ("PROVEN", "MULTIPLIER", "FLOAT32_SCALE"), t.layer
    (rule,) = override.rules
    assert rule.op == "Conv2d" and rule.set == {"requant": "float_scale", "rounding": "half_even"}
    inherited = [t for t in tensors if t.origin == "INHERITED"]
    assert set(born[0].explains) <= {t.name for t in inherited}


@needs_shared
def test_switched_rules_run_as_the_default_kernels() -> None:
    """What `explain` proves layer by layer holds for the whole network, softmax included."""
    file = FOLDER / "mlperf-tiny/kws_ref_model.tflite"
    model = load_tflite(file)
    settings = {"tflite.conv_requant": "float_scale", "tflite.conv_round": "half_even"}
    assert change_arithmetic(model.graph, "tflite", None, settings)["changed_layers"] == 9
    result, _ = explain_dump(model, litert_dump(file, reference=False))
    assert result.summary.passed and result.summary.mismatches == 0


def test_float_models_are_not_compiled_for_it() -> None:
    graph = api.load_float(Path(__file__).parents[2] / "reference_data/digits/digits.onnx")
    with pytest.raises(UnsupportedError, match="target tflite compiles no float models"):
        quantize(graph, None, load_target("tflite"))


@needs_shared
def test_it_runs_like_any_model(tmp_path: Path) -> None:
    file = FOLDER / "tflm/hello_world_int8.tflite"
    session = api.open_session(file)
    (name,) = api.load(file).graph.inputs
    values = litert_dump(file, seed=3)
    output = session.run({name: values[name]}).outputs  # type: ignore[union-attr]
    for n, v in output.items():
        np.testing.assert_array_equal(v, values[n])


@needs_shared
def test_what_cannot_be_imported_is_said() -> None:
    with pytest.raises(UnsupportedError, match="is not quantized"):
        load_tflite(FOLDER / "mlperf-tiny/vww_96_float.tflite")
    left_out = load_tflite(FOLDER / "coral/deeplabv3_mnv2_dm05_pascal_quant.tflite").meta["left_out"]
    assert left_out[0] == "RESIZE_BILINEAR 'ResizeBilinear': no integer meaning here"
    assert left_out[1] == "QUANTIZE 'ResizeBilinear1': reads 'ResizeBilinear', which is left out"


@needs_shared
def test_a_dump_without_the_inputs_is_refused() -> None:
    file = FOLDER / "tflm/hello_world_int8.tflite"
    model, dump = load_tflite(file), litert_dump(file)
    inputs = {n: dump.pop(n) for n in model.graph.inputs}
    with pytest.raises(DataError, match="input of the network"):
        explain_dump(model, dump)
    with pytest.raises(DataError, match="nothing was compared"):
        explain_dump(model, inputs)


@needs_shared
def test_damaged_files_give_our_errors_only(tmp_path: Path) -> None:
    content = (FOLDER / "mlperf-tiny/kws_ref_model.tflite").read_bytes()
    rng = np.random.default_rng(0)
    for k in range(60):
        damaged = bytearray(content)
        for place in rng.integers(0, len(damaged), 20):
            damaged[place] = int(rng.integers(256))
        path = tmp_path / "damaged.tflite"
        path.write_bytes(bytes(damaged[: int(rng.integers(8, len(damaged)))]) if k % 2 else bytes(damaged))
        try:
            api.open_session(path)
        except BittrueError:
            continue


def test_files_that_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    for content in (b"", b"\0" * 40, b"\x1c\0\0\0TFL3", b"\xff\xff\xff\x7fTFL3" + bytes(64)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"x\.tflite"):
            load_tflite(path)
    with pytest.raises(DataError, match=r"no\.tflite"):
        load_tflite(tmp_path / "no.tflite")


@pytest.mark.parametrize(
    ("same", "size", "out", "stride", "extent", "expected"),
    [(True, 5, 5, 1, 3, (1, 1)), (True, 6, 3, 2, 3, (0, 1)), (False, 6, 4, 1, 3, (0, 0)), (True, 4, 2, 2, 1, (0, 0))],
)
def test_padding(same: bool, size: int, out: int, stride: int, extent: int, expected: tuple[int, int]) -> None:
    assert pads(same, size, out, stride, extent) == expected


@needs_shared
def test_the_command_explains_a_dump(tmp_path: Path) -> None:
    file, dump = FOLDER / "mlperf-tiny/kws_ref_model.tflite", tmp_path / "dump.npz"
    save_npz(dump, litert_dump(file, reference=False))

    def explain(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(explain_command, [str(a) for a in arguments], standalone_mode=False)
        if result.exception is not None and not isinstance(result.exception, BittrueError):
            raise result.exception
        return getattr(result.exception, "exit_code", 0), result.output

    code, text = explain(dump, "--model", file, "--write-profile", tmp_path / "p.yaml", "--json", tmp_path / "r.json")
    assert code == 0 and "float requantization" in text and "9 layers, 9 with a proven cause" in text
    assert load_override(tmp_path / "p.yaml", "tflite").rules and Result.load(tmp_path / "r.json").kind == "explain"
    assert explain(dump, "--model", file, "--layer", "nowhere")[0] == 2
