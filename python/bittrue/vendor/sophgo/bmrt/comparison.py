"""Verdict of a stage: every output against its reference, and every repetition against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bittrue.containers.build import IoTensor
from bittrue.vendor.sophgo.bmrt import debug_files
from bittrue.vendor.sophgo.bmrt.log import OWN, WARNING, WRONG, Log
from bittrue.vendor.sophgo.bmrt.options import Options
from bittrue.vendor.sophgo.bmrt.rule import compare
from bittrue.verify.policy import TensorFacts, tolerance
from bittrue.verify.verdict import PASSING, judge_pair

Array = np.ndarray[Any, Any]


def stage_passes(
    options: Options,
    log: Log,
    tensors: Sequence[IoTensor],
    expected: Mapping[str, Array],
    memories: Sequence[Mapping[str, Array]],
) -> bool:
    """memories: the outputs of every repetition. Prints the errors of all outputs before it answers."""
    log.info("bmrt_test:1160", "==>comparing output in mem #0 ... ")
    passed = True
    for k, t in enumerate(tensors):
        if "debug_output" in options.flags:
            debug_files.write_values(f"output_{k}", memories[0][t.name])
            debug_files.write_values(f"ref_{k}", expected[t.name])
        judge = _strictly if "strict" in options.flags else _as_vendor
        if not judge(options, log, t, expected[t.name], memories[0][t.name]):
            log.line("result_cmp_inner:440", WRONG, f"comparing #{k} output failed!")
            passed = False
    if len(memories) > 1:
        log.info("bmrt_test:1165", "==> comparing multiple mems ... ")
        passed = _repetitions_equal(log, tensors, memories) and passed
    return passed


def _as_vendor(options: Options, log: Log, tensor: IoTensor, expected: Array, got: Array) -> bool:
    result = compare(expected, got, options.delta, options.accuracy_i)
    for where, text in result.lines:
        log.line(where, WRONG, text)
    for text in result.wrongly_passed:
        log.remark(text)
    return result.passed


def _strictly(options: Options, log: Log, tensor: IoTensor, expected: Array, got: Array) -> bool:
    """As `bittrue verify` judges with the same tolerances; without tolerances, exactly."""
    facts = TensorFacts(name=tensor.name, dtype=expected.dtype.name, role="output")
    policy = tolerance(options.accuracy_f, options.accuracy_i)
    verdict, metrics = judge_pair(expected, got.reshape(expected.shape), facts, policy)
    passed = verdict.word in PASSING
    if not passed:
        text = f"{tensor.name}: {verdict.word}, {metrics.n_bad} of {metrics.n} elements differ {verdict.detail}"
        log.line(OWN, WRONG, text.rstrip())
    return passed


def _repetitions_equal(log: Log, tensors: Sequence[IoTensor], memories: Sequence[Mapping[str, Array]]) -> bool:
    passed = True
    for index, memory in enumerate(memories[1:], start=1):
        different = [k for k, t in enumerate(tensors) if memory[t.name].tobytes() != memories[0][t.name].tobytes()]
        for k in different:
            debug_files.write_values(f"mem{index}_output{k}", memory[tensors[k].name])
        if different:
            log.line("bmrt_test:1182", WARNING, f"mem_idx={index} compare failed with mem 0!")
            passed = False
    return passed
