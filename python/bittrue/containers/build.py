"""Building a .bmodel from a compiled net, and reading one back.

The layout keeps vendor tools working (they list, extract and combine such files) and makes real hardware refuse the net
instead of running it: the net is static, its only subnet is marked dynamic, and binary_ir holds our payload.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

import bittrue
from bittrue.containers.bmodel import VERSION, Bmodel, new_model
from bittrue.containers.bmodel_codes import (
    PAGE,
    SUBNET_TPU,
    chip_facts,
    data_bytes,
    tensor_shape,
    type_code,
    type_name,
)
from bittrue.containers.flat import Binary, Table
from bittrue.containers.payload import FLAG_BATCH_DYNAMIC, FLAG_HW_DYNAMIC, is_payload, unpack_payload
from bittrue.errors import DataError, UnsupportedError


@dataclass(frozen=True)
class IoTensor:
    """A net input or output. dtype: numpy name, "bfloat16", "int4" or "uint4"."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 1.0
    zero_point: int = 0

    @property
    def bytes(self) -> int:
        """Bytes in 1N layout."""
        return data_bytes(type_code(self.dtype), self.shape)


@dataclass(frozen=True)
class CompiledStage:
    """A stage made by this project. sections: payload tag -> bytes. coefficients: Location name -> bytes."""

    sections: dict[str, bytes]
    flags: int
    coefficients: dict[str, bytes]
    inputs: list[IoTensor]
    outputs: list[IoTensor]


def _round_up(value: int) -> int:
    return -(-value // PAGE) * PAGE


def _coefficients(address: int, parts: list[tuple[str, bytes]]) -> Table:
    locations, offset = [], 0
    names = set()
    for name, data in parts:
        if name in names:
            raise DataError(f"coefficient '{name}' appears twice")
        names.add(name)
        locations.append(Table("Location", name=name, offset=offset, size=len(data)))
        offset += len(data)
    blob = b"".join(data for _, data in parts)
    return Table(
        "CoeffMem",
        address=address,
        check_code=hashlib.sha256(blob).digest(),
        binary_coeff=Binary.of(blob),
        location=locations,
    )


def build_bmodel(
    *,
    chip: str,
    net_name: str,
    inputs: list[IoTensor],
    outputs: list[IoTensor],
    coefficients: list[tuple[str, bytes]],
    payload: bytes,
    ctx_size: int | None = None,
) -> Bmodel:
    """A model with one net of one stage.

    coefficients: (Location name, bytes), stored in this order without gaps. payload: from `pack_payload`; its flags say
    whether the net may change its batch or its height and width. ctx_size: bytes of our buffer plan, rounded up to
    4 KiB; inputs and outputs always fit.
    Raises DataError for a payload without the magic or a repeated coefficient name, UnsupportedError for types that the
    format cannot hold.
    """
    flags = unpack_payload(payload).flags
    payload = payload + bytes(-len(payload) % 4)
    base = chip_facts(chip).first_address
    coeff_mem = _coefficients(base, [(n, bytes(d)) for n, d in coefficients if len(d)])
    ctx_addr = _round_up(base + coeff_mem.binary_coeff.size)
    address = ctx_addr

    def tensors(ios: list[IoTensor], start: int, mem_type: int) -> tuple[list[Table], int]:
        made = []
        for io in ios:
            shape = Table("Shape", dim=list(io.shape))
            made.append(
                Table(
                    "Tensor",
                    name=io.name,
                    data_type=type_code(io.dtype),
                    device_addr=start,
                    size=io.bytes,
                    shape=[shape],
                    mem_type=mem_type,
                    scale=float(np.float32(io.scale)),  # as stored, so that it compares equal after reading
                    zero_point=int(io.zero_point),
                )
            )
            start = _round_up(start + max(io.bytes, 1))
        return made, start

    net_in, address = tensors(inputs, ctx_addr, 0)
    net_out, address = tensors(outputs, address, 0)
    sub_in, middle = tensors(inputs, ctx_addr, 1)
    sub_out, _ = tensors(outputs, middle, 1)
    total = max(address - ctx_addr, _round_up(ctx_size or 0))
    n_dynamic, h_w_dynamic = int(bool(flags & FLAG_BATCH_DYNAMIC)), int(bool(flags & FLAG_HW_DYNAMIC))
    sub_net = Table(
        "SubNet",
        subnet_mode=SUBNET_TPU,
        input_tensor=sub_in,
        output_tensor=sub_out,
        is_dynamic=1,
        ir_offset=0,
        ir_len=len(payload),
        n_dynamic=n_dynamic,
        h_w_dynamic=h_w_dynamic,
        id=0,
    )
    stage = Table(
        "NetParameter",
        input_tensor=net_in,
        output_tensor=net_out,
        ctx_addr=ctx_addr,
        ctx_size=total,
        coeff_mem=coeff_mem if coeff_mem.binary_coeff.size else None,
        is_dynamic=0,
        n_dynamic=n_dynamic,
        h_w_dynamic=h_w_dynamic,
        stage_ir=[Table("StageIR", ir_info_len=len(payload) // 4)],
        binary_ir=Binary.of(payload),
        sub_net=[sub_net],
    )
    root = new_model(chip, version=f"{VERSION}+bittrue.{bittrue.__version__}")
    root.net = [Table("Net", name=net_name, parameter=[stage])]
    root.neuron_size = total
    return Bmodel(root)


def stage_payload(stage: Table) -> memoryview | None:
    """The BTRU payload bytes of a stage, or None. The head alone decides; contents are not checked."""
    ir = stage.binary_ir
    return memoryview(ir.data) if ir is not None and is_payload(ir.data) else None


def stage_kind(stage: Table) -> str:
    """What a stage holds: "bittrue" (our payload), "instructions" (command groups only), "dynamic_ir" or "empty".

    A stage that mixes command groups and dynamic subnets is "dynamic_ir": it cannot run on commands alone.
    """
    if stage_payload(stage) is not None:
        return "bittrue"
    subnets = stage.sub_net or []
    if stage.is_dynamic or any(s.is_dynamic and s.subnet_mode == SUBNET_TPU for s in subnets):
        return "dynamic_ir"
    if stage.cmd_group or any(s.cmd_group or s.core_commands for s in subnets):
        return "instructions"
    return "dynamic_ir" if stage.binary_ir is not None and stage.binary_ir.size else "empty"


def stage_dynamic(stage: Table) -> bool:
    """True for dynamic nets: the vendor's flag, or for our stages the flags of the payload."""
    payload = stage_payload(stage)
    if payload is None:
        return bool(stage.is_dynamic)
    flags = int.from_bytes(payload[8:12], "little")
    return bool(flags & (FLAG_BATCH_DYNAMIC | FLAG_HW_DYNAMIC))


def io_tensors(tensors: list[Table]) -> list[IoTensor]:
    """IoTensor of each Tensor table. Raises UnsupportedError for unknown data types."""
    made = []
    for t in tensors:
        if (dtype := type_name(t.data_type)) == "unkown":
            raise UnsupportedError(f"tensor '{t.name}' has data_type {t.data_type}, which is unknown")
        made.append(IoTensor(t.name, dtype, tensor_shape(t), t.scale, t.zero_point))
    return made


def read_compiled(stage: Table) -> CompiledStage:
    """Decodes a stage made by `build_bmodel`.

    Raises DataError when it has no sound payload or a Location lies outside the coefficients, UnsupportedError for a
    newer payload format.
    """
    raw = stage_payload(stage)
    if raw is None:
        raise DataError(f"stage holds {stage_kind(stage)}, not a net compiled by bittrue")
    payload = unpack_payload(raw)
    coefficients: dict[str, bytes] = {}
    if stage.coeff_mem is not None:
        blob = stage.coeff_mem.binary_coeff
        data = blob.data if blob is not None and blob.data is not None else b""
        for loc in stage.coeff_mem.location or []:
            if loc.offset + loc.size > len(data):
                raise DataError(f"coefficient '{loc.name}' lies outside the {len(data)} bytes of the blob")
            coefficients[loc.name] = bytes(data[loc.offset : loc.offset + loc.size])
    return CompiledStage(
        payload.sections,
        payload.flags,
        coefficients,
        io_tensors(stage.input_tensor),
        io_tensors(stage.output_tensor),
    )
