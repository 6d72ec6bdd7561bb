"""Small compiled networks: context directories whose stages are command streams."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.containers.bmodel import Bmodel, new_model, write_bmodel
from bittrue.containers.bmodel_codes import type_code
from bittrue.containers.build import IoTensor
from bittrue.containers.flat import Binary, Table
from bittrue.containers.refdata import write_refdata
from bittrue.devices.bm1684.assemble import COEFFICIENTS, Assembled, assemble
from bittrue.graph.ir import Graph
from bittrue.ops import evaluate_graph
from tests.devices.test_assemble import SHIFT, Build

Array = np.ndarray[Any, Any]
BASE = 0x105100000
LINEAR = {
    "pio_gdma_enable": 1, "barrier_enable": 1, "direction": 2, "common_mode": 1, "prefetch_disable": 1,
    "lrn_shift_num": 1, "localmem_mask_l32": 2**32 - 1, "localmem_mask_h32": 2**32 - 1,
}  # fmt: skip


def linear_copy(number: int, source: int, target: int, words: int, wait: int = 0) -> dict[str, int]:
    """Fields of a copy of device memory."""
    return LINEAR | {
        "cmd_id": number, "eng0_sync_id": wait, "src_nstride": words,
        "src_start_addr_l32": source & 0xFFFFFFFF, "src_start_addr_h8": source >> 32,
        "dst_start_addr_l32": target & 0xFFFFFFFF, "dst_start_addr_h8": target >> 32,
    }  # fmt: skip


def group_table(bdc: Array, gdma: Array) -> Table:
    return Table(
        "CmdGroup",
        bdc_num=len(bdc),
        gdma_num=len(gdma),
        binary_bdc=Binary.of(bdc.astype("<u4").tobytes()),
        binary_gdma=Binary.of(gdma.astype("<u4").tobytes()),
    )


def tensor_table(io: IoTensor, address: int, mode: int = 0) -> Table:
    n = io.shape[0]
    size = io.bytes // n * (-(-n // 4) * 4) if mode == 2 else io.bytes
    return Table(
        "Tensor",
        name=io.name,
        data_type=type_code(io.dtype),
        gmem_stmode=mode,
        device_addr=address,
        size=size,
        shape=[Table("Shape", dim=list(io.shape))],
    )


def subnet(mode: int = 0, groups: list[Table] | None = None, **fields: Any) -> Table:
    return Table("SubNet", subnet_mode=mode, cmd_group=groups or None, **fields)


def stream_model(
    inputs: list[Table],
    outputs: list[Table],
    groups: list[Table],
    *,
    size: int,
    coefficients: bytes = b"",
    subnets: list[Table] | None = None,
    chip: str = "BM1684",
) -> Bmodel:
    """A model of one static stage of command groups."""
    stage = Table(
        "NetParameter",
        input_tensor=inputs,
        output_tensor=outputs,
        ctx_addr=BASE,
        ctx_size=size,
        cmd_group=groups,
        sub_net=subnets or [subnet(groups=groups)],
    )
    if coefficients:
        stage.coeff_mem = Table(
            "CoeffMem",
            address=COEFFICIENTS,
            check_code=hashlib.sha256(coefficients).digest(),
            binary_coeff=Binary.of(coefficients),
        )
    model = new_model(chip)
    model.net = [Table("Net", name="net", parameter=[stage])]
    model.neuron_size = size
    return Bmodel(model)


def small_graph(seed: int = 3) -> Graph:
    """conv 3x3 stride 2, depthwise, pool."""
    build = Build(np.random.default_rng(seed), (2, 3, 12, 12), "int8")
    conv = {"dilations": [1, 1], "pads": [1, 1, 1, 1], **SHIFT}
    w = [build.values("int8", (8, 3, 3, 3)), build.values("int16", (8,))]
    build.add("Conv2d", (2, 8, 6, 6), "uint8", w, strides=[2, 2], group=1, shift=[9], **conv)
    w = [build.values("int8", (8, 1, 3, 3)), build.values("int16", (8,))]
    build.add("Conv2d", (2, 8, 6, 6), "uint8", w, strides=[1, 1], group=8, shift=[9], **conv)
    build.add("MaxPool2d", (2, 8, 3, 3), "uint8", [], kernel=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0])
    return build.graph


def graph_model(graph: Graph) -> tuple[Bmodel, Assembled]:
    """A graph as a stage of command streams."""
    program = assemble(graph)

    def table(name: str) -> Table:
        t = graph.types[name]
        return tensor_table(IoTensor(name, t.dtype, t.shape, 0.5), program.tensors[name], 2)

    model = stream_model(
        [table(n) for n in graph.inputs],
        [table(n) for n in graph.outputs],
        [group_table(program.bdc, program.gdma)],
        size=program.end - BASE,
        coefficients=program.coefficients,
    )
    return model, program


def graph_context(folder: Path, graph: Graph | None = None, spoil: bool = False) -> Path:
    """A context directory of `graph`, references from the numpy models of the ops."""
    graph = graph or small_graph()
    model, _ = graph_model(graph)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    feeds = {n: rng.integers(-128, 128, graph.types[n].shape).astype(graph.types[n].dtype) for n in graph.inputs}
    values = evaluate_graph(graph, feeds)
    outputs = {n: values[n].copy() for n in graph.outputs}
    if spoil:
        next(iter(outputs.values())).flat[5] ^= 1
    write_bmodel(model, folder / "compilation.bmodel")

    def ios(names: list[str]) -> list[IoTensor]:
        return [IoTensor(n, graph.types[n].dtype, graph.types[n].shape) for n in names]

    write_refdata(folder / "input_ref_data.dat", [ios(graph.inputs)], [feeds])
    write_refdata(folder / "output_ref_data.dat", [ios(graph.outputs)], [outputs])
    np.savez(folder / "input.npz", **feeds)
    return folder
