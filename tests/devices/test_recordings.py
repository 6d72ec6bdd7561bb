"""Recorded layer runs and compiled networks of the vendor, bit by bit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittrue.conformance.runner import load_case, run_conformance
from bittrue.containers.context_dir import ContextDir
from bittrue.devices.bm1684.match import TensorCollector, match_tensors
from bittrue.devices.bm1684.replay import replay
from bittrue.devices.bm1684.session import Group, InstructionSession
from bittrue.errors import DataError, UnsupportedError
from bittrue.verify.policy import tolerance
from bittrue.verify.verify import Options, verify
from tests.shared import PATHS, SHARED, needs_shared

# name -> elements; the references were written by the vendor's simulator or by copies
EXACT = {
    "all_dtypes": 448, "face_fp32_b1": 67200, "multi_stage_w": 1472, "rec_cnn": 46080, "retina_int8_b4": 268800,
    "single_f32": 768, "single_i8": 768,
}  # fmt: skip


def models() -> Path:
    assert SHARED
    return SHARED / "oracle/bm1684/bmodels"


@needs_shared
@pytest.mark.parametrize("path", PATHS)
def test_recorded_layers(path: str) -> None:
    assert SHARED
    results = list(run_conformance(SHARED / "oracle/bm1684/instr", "bm1684", path=path))
    assert len(results) >= 17 and all(r.mismatches == 0 for r in results), results
    # only layers whose packed words have unused batches leave bytes undefined
    assert {r.layer for r in results if r.undefined} <= {"eltwise_add_int8", "binary_int8", "prelu_int8"}
    assert sum(r.elements for r in results) > 130_000


@needs_shared
@pytest.mark.parametrize("name", EXACT)
def test_compiled_networks(name: str) -> None:
    result = verify(models() / name)
    assert (result.summary.mismatches, result.summary.elements) == (0, EXACT[name]), result.summary.sentence
    assert result.summary.passed


@needs_shared
def test_a_reference_of_a_float_framework() -> None:
    """Its makers computed it in floats: equal within 3.9e-6, 1,044 of 1,089 values differ in their last bits."""
    exact = verify(models() / "reconnet")
    assert not exact.summary.passed and exact.summary.mismatches == 1044
    assert verify(models() / "reconnet", Options(policy=tolerance(accuracy_f=0.01))).summary.passed


@needs_shared
def test_dynamic_networks_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="firmware instructions of a dynamic network"):
        verify(models() / "lstm_dynamic")


def writes_digest(name: str, **options: Any) -> tuple[str, str]:
    """SHA-256 over everything that was written to device memory, and of device memory at the end."""
    context = ContextDir.open(models() / name)
    session = InstructionSession(context.model, next(context.model.stages()), **options)
    parts: dict[str, str] = {}

    def hook(group: Group, step: int) -> bool:
        for k, access in enumerate(group.steps[step]["accesses"]):
            if access["write"] and access["space"] == "device":
                data = group.program.read_operand(session.machine, step, k)
                parts[str(group.command(step))] = hashlib.sha256(data).hexdigest()
        return False

    session.run(context.inputs[0], hook)
    base, end = session._device_range()
    writes = hashlib.sha256("".join(f"{k} {v}\n" for k, v in sorted(parts.items())).encode()).hexdigest()
    return writes, hashlib.sha256(session.machine.read(base, end - base)).hexdigest()


@needs_shared
@pytest.mark.parametrize("name", ["retina_int8_b4", "face_fp32_b1", "rec_cnn", "reconnet"])
def test_nothing_depends_on_threads_paths_or_preferences(name: str) -> None:
    expected = writes_digest(name, threads=1, path="reference")
    for path in PATHS:
        for threads in (2, 3):
            assert writes_digest(name, threads=threads, path=path) == expected
    assert writes_digest(name, threads=2, gdma_first=False) == expected
    assert writes_digest(name, threads=2, fill=0xC3) == expected


@needs_shared
def test_no_uninitialized_memory_is_computed_with() -> None:
    context = ContextDir.open(models() / "face_fp32_b1")
    session = InstructionSession(context.model, next(context.model.stages()), check_uninitialized=True)
    session.run(context.inputs[0])
    assert session.uninitialized == []


@needs_shared
def test_tensors_are_matched_by_their_values() -> None:
    """The network outputs, scaled and with noise, stand for layers of the original model."""
    context = ContextDir.open(models() / "retina_int8_b4")
    session = InstructionSession(context.model, next(context.model.stages()))
    collector = TensorCollector()
    session.run(context.inputs[0], collector.hook)
    rng = np.random.default_rng(0)
    layers = {}
    for name, value in context.outputs[0].items():
        exact = value.astype(np.float32) * 0.37
        layers[name] = exact + rng.normal(0, 0.01 * exact.std(), exact.shape).astype(np.float32)
    found = {m.layer: m for m in match_tensors(collector.tensors, layers) if m.correlation > 0.9995}
    assert set(found) == set(layers)
    assert all(m.confidence == "sure" for m in found.values())
    assert {m.kind for n, m in found.items() if "bbox" in n} == {"int8"}


@needs_shared
def test_a_recording_without_a_field() -> None:
    assert SHARED
    arrays = load_case(SHARED / "oracle/bm1684/instr/maxpool_int8/case000.npz")
    del arrays["out"]
    with pytest.raises(DataError, match="field 'out' is missing"):
        replay(arrays)


@needs_shared
def test_a_wrong_recording_is_found() -> None:
    assert SHARED
    arrays = load_case(SHARED / "oracle/bm1684/instr/maxpool_int8/case000.npz")
    arrays["out"] = arrays["out"] ^ np.uint8(1)
    assert replay(arrays).differing == arrays["out"].size
