"""Stages of command streams: running, verifying, refusing."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import bittrue._core as _core
from bittrue.cli.main import cli
from bittrue.containers.bmodel import Bmodel, write_bmodel
from bittrue.containers.build import IoTensor
from bittrue.containers.flat import Table
from bittrue.devices.bm1684.commands import encode
from bittrue.devices.bm1684.session import InstructionSession
from bittrue.errors import BittrueError, DataError, UnsupportedError
from bittrue.graph.onnx_io import to_onnx
from tests.devices.streams import (
    BASE,
    graph_context,
    graph_model,
    group_table,
    linear_copy,
    small_graph,
    stream_model,
    subnet,
    tensor_table,
)

Array = np.ndarray[Any, Any]
NO_BDC = np.zeros((0, 32), np.uint32)


def open_stage(model: Bmodel, **options: Any) -> InstructionSession:
    return InstructionSession(model, next(model.stages()), **options)


def copies(*pairs: tuple[int, int], words: int = 4) -> Table:
    """A group of copies from BASE + source to BASE + target."""
    commands = [linear_copy(i + 1, BASE + s, BASE + t, words) for i, (s, t) in enumerate(pairs)]
    return group_table(NO_BDC, encode("gdma", commands))


def io(name: str, offset: int, dtype: str = "int32") -> Table:
    return tensor_table(IoTensor(name, dtype, (4,)), BASE + offset)


def cli_run(*arguments: Any) -> tuple[int, str]:
    """Exit code (from the error where one is raised) and all output."""
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    if isinstance(result.exception, BittrueError):
        return result.exception.exit_code, result.output + str(result.exception)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_verify_a_stream(tmp_path: Path) -> None:
    folder = graph_context(tmp_path / "net")
    code, text = cli_run("verify", "--context_dir", folder, "--check-uninitialized", "--json", tmp_path / "r.json")
    assert code == 0 and "1 of 1 tensors equal: 0 of 144 elements differ" in text
    assert "never written" not in text  # the unused batches of packed words are only moved
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["target"]["name"] == "bm1684" and stored["nets"][0]["tensors"][0]["verdict"] == "EQUAL"


def test_a_wrong_reference_fails(tmp_path: Path) -> None:
    code, text = cli_run("verify", "--context_dir", graph_context(tmp_path / "net", spoil=True))
    assert code == 1 and "1 of 144 elements differ" in text


def test_run_a_stream_twice() -> None:
    graph = small_graph()
    session = open_stage(graph_model(graph)[0])
    rng = np.random.default_rng(1)
    feeds = [{"x": rng.integers(-128, 128, (2, 3, 12, 12)).astype(np.int8)} for _ in range(2)]
    results = [session.run(f).outputs for f in (*feeds, feeds[0])]
    np.testing.assert_array_equal(results[0]["MaxPool2d2"], results[2]["MaxPool2d2"])
    assert (results[0]["MaxPool2d2"] != results[1]["MaxPool2d2"]).any()


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((2, 3, 12, 12), np.float32)}, "tensor 'x' is int8, the data float32"),
        ({"x": np.zeros((2, 3, 12, 11), np.int8)}, "shape"),
        ({"x": np.zeros((2, 3, 12, 12), np.int8), "z": np.zeros(1)}, "unknown input 'z'"),
    ],
)
def test_inputs_that_do_not_fit(feeds: dict[str, Array], text: str) -> None:
    with pytest.raises(DataError, match=text):
        open_stage(graph_model(small_graph())[0]).run(feeds)


def test_other_chips_and_paths() -> None:
    model = graph_model(small_graph())[0]
    model.root.chip = "BM1684X"
    with pytest.raises(UnsupportedError, match="not implemented: command streams of BM1684X"):
        open_stage(model)
    model.root.chip = "BM1684"
    with pytest.raises(BittrueError, match="path 'mmx' is not available"):
        open_stage(model, path="mmx")


def test_uninitialized_reads_are_reported() -> None:
    group = copies((0x100, 0x300), (0, 0x308))
    model = stream_model([io("x", 0)], [io("y", 0x300)], [group], size=0x1000)
    session = open_stage(model, check_uninitialized=True)
    session.run({"x": np.arange(4, dtype=np.int32)})
    assert [str(r) for r in session.uninitialized] == ["output 'y' holds 8 bytes never written"]


def test_computing_with_uninitialized_memory_is_reported() -> None:
    model, program = graph_model(small_graph())
    gdma = _core.bm1684.decode("gdma", program.gdma)
    gdma[1]["dst_start_addr_l32"] += 0x10000  # the weights are loaded to another place
    model.stage().cmd_group = [group_table(program.bdc, encode("gdma", gdma))]
    session = open_stage(model, check_uninitialized=True)
    session.run({"x": np.zeros((2, 3, 12, 12), np.int8)})
    assert [str(r) for r in session.uninitialized] == ["group 0 BDC command 1: opd1 reads 288 bytes never written"]


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"src_start_addr_h8": 0}, DataError, "GDMA command 1: a tensor of 16 bytes at .* outside of device memory"),
        ({"src_nstride": 2**30}, DataError, "GDMA command 1: a tensor of 1073741824 elements"),
        ({"src_nstride": 2**20}, DataError, "GDMA command 1: a tensor of 4194304 bytes"),
        ({"src_nstride": 0}, DataError, "GDMA command 1: a tensor of shape"),
        ({"eng0_sync_id": 7}, DataError, "deadlock: GDMA command 1 waits for id 7"),
        ({"special_func": 3}, UnsupportedError, "GDMA command 1: not implemented: GDMA function 3"),
        ({"acc_write_enable": 1}, UnsupportedError, "not implemented: accumulating write"),
        ({"src_data_format": 6}, UnsupportedError, "not implemented: GDMA data format 6"),
        ({"direction": 0}, UnsupportedError, "not implemented: linear copy of local memory"),
        ({"src_wshift": 2}, UnsupportedError, "not implemented: h/w shift"),
        ({"eng1_sync_id": 1}, UnsupportedError, "not implemented: waiting for another engine"),
        ({"localmem_mask_l32": 1}, UnsupportedError, "not implemented: a mask of lanes"),
    ],
)
def test_hostile_memory_commands(change: dict[str, int], error: type[BittrueError], text: str) -> None:
    command = linear_copy(1, BASE, BASE + 0x200, 4) | change
    model = stream_model([io("x", 0)], [io("y", 0x200)], [group_table(NO_BDC, encode("gdma", [command]))], size=0x1000)
    with pytest.raises(error, match=f"network 'net' stage 0: .*{text}"):
        open_stage(model)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"opd0_addr": 0x08000000 + 512 * 1024 - 128}, DataError, "BDC command 1: a tensor at .* leaves its lane"),
        ({"opd0_addr": 2}, DataError, "not a multiple of 4"),
        ({"res0_h": 65535, "opd0_h": 65535, "res_op_y_str": 1}, DataError, "BDC command 1: a tensor at"),
        (
            {"res0_n": 65535, "res0_h": 65535, "opd0_h": 65535, "res_op_y_str": 1},
            DataError,
            "BDC command 1: a tensor of",
        ),
        ({"res0_n": 0}, DataError, "a tensor of shape"),
        ({"tsk_typ": 12}, UnsupportedError, "BDC command 1: not implemented: task type 12"),
        ({"tsk_eu_typ": 1}, UnsupportedError, "not implemented: convolution operation 1"),
        ({"tsk_lane_num": 1}, UnsupportedError, "not implemented: a mask of lanes"),
        ({"opt_winograd": 1}, UnsupportedError, "not implemented: winograd"),
        ({"opt_res_add": 1}, UnsupportedError, "not implemented: accumulation into the result"),
        ({"opt_opd0_prec": 1}, UnsupportedError, "not implemented: convolution with precisions 0 <- 1, 0"),
        (
            {"opd0_dn_pad": 0, "opd0_up_pad": 0},
            UnsupportedError,
            "not implemented: windows that leave the padded input",
        ),
        ({"res_op_y_str": 0}, DataError, "with strides 0"),
        ({"opd1_h": 0}, DataError, "a window of 0x3|a tensor of shape"),
    ],
)
def test_hostile_compute_commands(change: dict[str, int], error: type[BittrueError], text: str) -> None:
    model, program = graph_model(small_graph())
    fields = _core.bm1684.decode("bdc", program.bdc)
    fields[0] |= change
    model.stage().cmd_group = [group_table(encode("bdc", fields), program.gdma)]
    with pytest.raises(error, match=text):
        open_stage(model)


def test_memory_that_no_device_has() -> None:
    model = stream_model([io("x", 0)], [io("y", 0x200)], [copies((0, 0x200))], size=0x1000)
    model.stage().ctx_size = 1 << 60
    with pytest.raises(DataError, match="larger than a device has"):
        open_stage(model)


def test_cpu_subnets_are_named() -> None:
    cpu = subnet(1, cpu_param=[Table("CpuParam", op_type=11)], id=0)
    model = stream_model([io("x", 0)], [io("y", 0x200)], [copies((0, 0x200))], size=0x1000, subnets=[cpu])
    with pytest.raises(UnsupportedError, match="subnet 0: not implemented: CPU layer of type 11"):
        open_stage(model)


def switched_model() -> Bmodel:
    """y = a if the condition is true, else b: a switch, two branches, a merge, a tail."""
    true_branch, false_branch, tail = copies((0x300, 0x400)), copies((0x340, 0x440)), copies((0x500, 0x200))
    merged = Table("MergeParam", output_from=[Table("OutputFrom", indice=[0, 1])])
    switch = Table("SwitchParam", output_from=[0, 1], output_branch=[1, 0])
    subnets = [
        subnet(
            3,
            id=0,
            next_subnet_ids=[2, 1],
            switch_param=switch,
            input_tensor=[io("a", 0), io("b", 0x40), io("condition", 0x80)],
            output_tensor=[io("a1", 0x300), io("b1", 0x340)],
        ),
        subnet(groups=[true_branch], id=1, next_subnet_ids=[3], output_tensor=[io("a2", 0x400)]),
        subnet(groups=[false_branch], id=2, next_subnet_ids=[3], output_tensor=[io("b2", 0x440)]),
        subnet(
            2,
            id=3,
            next_subnet_ids=[4],
            merge_param=merged,
            input_tensor=[io("a2", 0x400), io("b2", 0x440)],
            output_tensor=[io("m", 0x500)],
        ),
        subnet(groups=[tail], id=4, output_tensor=[io("y", 0x200)]),
    ]
    return stream_model(
        [io("a", 0), io("b", 0x40), io("condition", 0x80)],
        [io("y", 0x200)],
        [true_branch, false_branch, tail],
        size=0x1000,
        subnets=subnets,
    )


@pytest.mark.parametrize("condition", [0, 1])
def test_switch_and_merge(condition: int) -> None:
    a, b = np.arange(4, dtype=np.int32), np.arange(10, 14, dtype=np.int32)
    feeds = {"a": a, "b": b, "condition": np.array([condition, 0, 0, 0], np.int32)}
    np.testing.assert_array_equal(open_stage(switched_model()).run(feeds).outputs["y"], a if condition else b)


def test_subnets_without_end() -> None:
    group = copies((0, 0x200))
    loop = subnet(groups=[group], id=0, next_subnet_ids=[0])
    model = stream_model([io("x", 0)], [io("y", 0x200)], [group], size=0x1000, subnets=[loop])
    with pytest.raises(DataError, match="do not end"):
        open_stage(model).run({"x": np.zeros(4, np.int32)})


def test_run_trace_compare_break(tmp_path: Path) -> None:
    folder = graph_context(tmp_path / "net")
    model, x, y = folder / "compilation.bmodel", folder / "input.npz", tmp_path / "y.npz"
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    assert cli_run("run", model, "--input", x, "--output", y, "--trace", first)[0] == 0
    assert cli_run("run", model, "--input", x, "--output", y, "--trace", second, "--prefer", "bdc")[0] == 0
    code, text = cli_run("compare", first, second)
    assert code == 0 and "0 of" in text
    assert cli_run("verify", "--context_dir", folder, "--reference", first)[0] == 0
    # one changed weight: the first command that differs is the load of the weights
    other = np.load(x)["x"].copy()
    other.flat[0] ^= 64
    np.savez(tmp_path / "other.npz", x=other)
    assert cli_run("run", model, "--input", tmp_path / "other.npz", "--output", y, "--trace", second)[0] == 0
    code, text = cli_run("compare", first, second)
    assert code == 1 and "first command that differs, g0.gdma00001: gdma     1 after bdc 0" in text
    stop = ("--break-at", "bdc:1", "--dump-tensor", "res0", "--dump-tensor", f"{BASE:#x}:uint8:2x3")
    code, text = cli_run("run", model, "--input", x, "--output", y, *stop)
    assert code == 0 and "group 0 BDC command 1: bdc      1 after gdma 3     conv.mul" in text
    assert np.load(y)["res0"].shape == (2, 8, 6, 6)
    assert sorted(np.load(y).files) == sorted(["res0", f"{BASE:#x}:uint8:2x3"])


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--break-at", "x"], 2, "expected N, bdc:N or gdma:N"),
        (["--break-at", "bdc:99"], 2, "no such command"),
        (["--dump-tensor", "res0"], 2, "needs --break-at"),
        (["--break-at", "1", "--dump-tensor", "opd7"], 2, "the command has src, dst"),
        (["--dump-tensor", "0x10:int8:4"], 4, "outside of device memory"),
        (["--dump-tensor", "0x10:int5:4"], 2, "type 'int5'"),
        (["--all-tensors"], 2, "use --trace"),
    ],
)
def test_run_options_that_do_not_fit(tmp_path: Path, options: list[str], code: int, text: str) -> None:
    folder = graph_context(tmp_path / "net")
    base = ["run", folder, "--input", folder / "input.npz", "--output", tmp_path / "y.npz"]
    got, output = cli_run(*base, *options)
    assert got == code and text in output
    assert not (tmp_path / "y.npz").exists()


def test_profile(tmp_path: Path) -> None:
    folder = graph_context(tmp_path / "net")
    code, text = cli_run(
        "run", folder, "--input", folder / "input.npz", "--output", tmp_path / "y.npz", "--profile",
        "--timeline", tmp_path / "t.json", "--html", tmp_path / "p.html",
    )  # fmt: skip
    macs = 2 * 8 * 36 * 27 + 2 * 8 * 36 * 9
    assert code == 0 and "estimate (assumed)" in text and f"{macs / 1e6:.1f} MMAC" in text
    events = [e for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if e["ph"] == "X"]
    assert sum(e["args"]["macs"] for e in events) == macs
    by_engine: dict[int, list[Any]] = {}
    for e in events:
        by_engine.setdefault(e["tid"], []).append((e["ts"], e["ts"] + e["dur"]))
    for spans in by_engine.values():  # an engine does one thing at a time
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(spans))
    page = (tmp_path / "p.html").read_text()
    assert "Estimated cost on the chip" in page and "PROFILE" in page and "conv.mul" in page


def test_disasm(tmp_path: Path) -> None:
    model = graph_context(tmp_path / "net") / "compilation.bmodel"
    code, text = cli_run("bmodel", "disasm", model)
    assert code == 0 and text.splitlines()[0] == "# net[net] stage[0] group 0: 3 BDC, 10 GDMA commands"
    assert len(text.splitlines()) == 14
    code, text = cli_run("bmodel", "disasm", model, "--engine", "bdc", "--json")
    rows = [json.loads(row) for row in text.splitlines()]
    assert [r["fields"]["tsk_typ"] for r in rows] == [0, 1, 1] and rows[0]["net"] == "net"
    assert cli_run("bmodel", "disasm", model, "--group", "4")[0] == 4


def test_first_convolution_layout_is_refused(tmp_path: Path) -> None:
    model = graph_model(small_graph())[0]
    model.stage().input_tensor[0].pad_h = 1
    write_bmodel(model, tmp_path / "m.bmodel")
    with pytest.raises(UnsupportedError, match="first-convolution layout"):
        open_stage(model)


def test_assumptions_are_listed() -> None:
    """A float depthwise convolution with inserted zeros."""
    model, program = graph_model(small_graph())
    bdc = _core.bm1684.decode("bdc", program.bdc)
    bdc[1] |= {f"opt_{o}_prec": 2 for o in ("res0", "opd0", "opd1", "opd2")}
    bdc[1] |= {
        "opd0_y_ins0": 1,
        "tsk_opd_num": 2,
        "res0_addr": 0x08004000,
        "opd0_addr": 0x08002000,
        "opd1_addr": 0x08006000,
    }
    model.stage().cmd_group = [group_table(encode("bdc", bdc), program.gdma)]
    (entry,) = open_stage(model).assumptions().items()
    assert str(entry[0]) == "group 0 BDC command 2" and "inserted zeros" in entry[1]


def test_verify_names_device_tensors_by_the_layers_of_the_model(tmp_path: Path) -> None:
    graph = small_graph()
    folder = graph_context(tmp_path / "net", graph)
    onnx.save(to_onnx(graph), tmp_path / "model.onnx")
    code, text = cli_run(
        "verify", "--context_dir", folder, "--model", tmp_path / "model.onnx", "--html", tmp_path / "r.html"
    )
    assert code == 0
    for name in ("Conv2d0", "Conv2d1", "MaxPool2d2"):
        assert f"is layer {name}: sure, correlation 1.000000" in text
    assert "layers of the model" in (tmp_path / "r.html").read_text()
    code, text = cli_run("verify", "--context_dir", folder, "--model", tmp_path / "missing.onnx")
    assert code == 4 and "missing.onnx" in text
