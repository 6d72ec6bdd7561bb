"""Damaged commands end in a clear error or run inside the simulated memories; they never crash."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import bittrue._core as _core
from bittrue.devices.bm1684.assemble import COEFFICIENTS
from bittrue.errors import DataError, UnsupportedError
from tests.devices.streams import graph_model, small_graph

Array = np.ndarray[Any, Any]
PROGRAM = graph_model(small_graph())[1]
MACHINE = _core.bm1684.Machine(COEFFICIENTS, PROGRAM.end - COEFFICIENTS, 2, "best")
EXAMPLES = int(os.environ.get("BITTRUE_FUZZ", "300"))
# Commands that would run for long are planned only.
MOST_WORK = 20_000_000
INTERESTING = [0, 1, 2, 3, 15, 63, 64, 255, 4095, 65535, 0x08000000, 0x08080000, 2**31, 2**32 - 1]


def run_damaged(bdc: Array, gdma: Array) -> None:
    try:
        program = _core.bm1684.Program(bdc, gdma, MACHINE)
        order = program.order(True)
    except (DataError, UnsupportedError) as e:
        assert str(e).split(":")[0].split(" ")[0] in ("BDC", "GDMA", "deadlock")
        return
    steps = program.steps(MACHINE)
    work = sum(s["macs"] + sum(int(np.prod(a["shape"])) for a in s["accesses"]) for s in steps)
    if work < MOST_WORK:
        program.run(MACHINE, order)


changes = st.lists(
    st.tuples(
        st.sampled_from(["bdc", "gdma"]),
        st.integers(0, 20),
        st.integers(0, 100),
        st.one_of(st.sampled_from(INTERESTING), st.integers(0, 2**32 - 1)),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(changes)
def test_changed_fields(changes: list[tuple[str, int, int, int]]) -> None:
    streams = {"bdc": PROGRAM.bdc, "gdma": PROGRAM.gdma}
    decoded = {e: _core.bm1684.decode(e, s) for e, s in streams.items()}
    for engine, command, field, value in changes:
        table = _core.bm1684.fields(engine)
        name, _, width = table[field % len(table)]
        decoded[engine][command % len(decoded[engine])][name] = value & (1 << width) - 1
    run_damaged(_core.bm1684.encode("bdc", decoded["bdc"]), _core.bm1684.encode("gdma", decoded["gdma"]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 1023)), min_size=1, max_size=6))
def test_flipped_bits(flips: list[tuple[bool, int, int]]) -> None:
    streams = [PROGRAM.bdc.copy(), PROGRAM.gdma.copy()]
    for which, command, bit in flips:
        stream = streams[int(which)]
        stream[command % len(stream), bit // 32] ^= np.uint32(1 << bit % 32)
    run_damaged(*streams)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3, 6, 8, 9, 13]), st.booleans())
def test_random_commands(seed: int, task: int, memory: bool) -> None:
    """Random small fields, so that many commands are accepted."""
    rng = np.random.default_rng(seed)
    engine = "gdma" if memory else "bdc"
    fields = {}
    for name, _, width in _core.bm1684.fields(engine):
        high = 1 << min(width, int(rng.choice([1, 2, 4, 8])))
        fields[name] = int(rng.integers(0, high))
        if "addr" in name and width == 32:
            fields[name] = 0x08000000 + int(rng.integers(0, 1 << 25)) // 4 * 4
        elif name in ("rsvd0", "acc_write_enable", "opt_winograd", "opt_res_add") or "shift" in name:
            fields[name] = 0
    if memory:
        fields |= {"cmd_id": 1, "eng0_sync_id": 0, "localmem_mask_l32": 2**32 - 1, "localmem_mask_h32": 2**32 - 1}
        for side in ("src", "dst"):
            if rng.integers(2):
                place = COEFFICIENTS + int(rng.integers(0, PROGRAM.end - COEFFICIENTS))
                fields |= {f"{side}_start_addr_l32": place & 0xFFFFFFFF, f"{side}_start_addr_h8": place >> 32}
        fields["src_data_format"] = int(rng.choice([0, 1, 2, 3, 4]))
        fields["special_func"] = int(rng.choice([0, 1, 4]))
        run_damaged(PROGRAM.bdc[:0], _core.bm1684.encode("gdma", [fields]))
    else:
        kind = int(rng.choice([0, 2, 3, 4]))
        fields |= {"cmd_id_tpu": 1, "cmd_id_gdma": 0, "tsk_typ": task, "tsk_lane_num": 2**64 - 1}
        fields |= {f"opt_{o}_prec": kind for o in ("res0", "opd0", "opd1")}
        fields["opt_right_shift"] = int(rng.integers(0, 32))
        run_damaged(_core.bm1684.encode("bdc", [fields]), PROGRAM.gdma[:0])
