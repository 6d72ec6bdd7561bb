"""Building a .bmodel from a compiled net, and reading one back.

The layout keeps vendor tools working (they list, extract and combine such files) and makes real hardware refuse the net
instead of running it: the net is static, its subnets of the chip are marked dynamic, and binary_ir holds our payload.
Layers of the host processor are CPU subnets of a user library's type.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import bittrue
from bittrue.containers.bmodel import VERSION, Bmodel, new_model
from bittrue.containers.bmodel_codes import (
    PAGE,
    SUBNET_CPU,
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

USER_OP = 10000  # CPU layers from here on belong to a library of the user
MEMORY_TPU, MEMORY_CPU = 1, 2


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
class Part:
    """What one subnet runs. host: the definition of an op of the host processor; empty for the chip."""

    inputs: list[IoTensor]
    outputs: list[IoTensor]
    host: bytes = b""


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
    parts: Sequence[Part] = (),
) -> Bmodel:
    """A model with one net of one stage.

    coefficients: (Location name, bytes), stored in this order without gaps. payload: from `pack_payload`; its flags say
    whether the net may change its batch or its height and width. ctx_size: bytes of our buffer plan, rounded up to
    4 KiB; inputs and outputs always fit. parts: the subnets in their order; default one of the chip.
    Raises DataError for a payload without the magic or a repeated coefficient name, UnsupportedError for types that the
    format cannot hold.
    """
    flags = unpack_payload(payload).flags
    payload = payload + bytes(-len(payload) % 4)
    base = chip_facts(chip).first_address
    coeff_mem = _coefficients(base, [(n, bytes(d)) for n, d in coefficients if len(d)])
    ctx_addr = _round_up(base + coeff_mem.binary_coeff.size)
    parts = parts or [Part(inputs, outputs)]
    addresses: dict[str, int] = {}
    address = ctx_addr
    for io in (*inputs, *outputs, *(io for part in parts for io in (*part.inputs, *part.outputs))):
        if io.name not in addresses:
            addresses[io.name] = address
            address = _round_up(address + max(io.bytes, 1))

    def tensors(ios: list[IoTensor], mem_type: int) -> list[Table]:
        made = []
        for io in ios:
            shape = Table("Shape", dim=list(io.shape))
            made.append(
                Table(
                    "Tensor",
                    name=io.name,
                    data_type=type_code(io.dtype),
                    device_addr=addresses[io.name],
                    size=io.bytes,
                    shape=[shape],
                    mem_type=mem_type,
                    scale=float(np.float32(io.scale)),  # as stored, so that it compares equal after reading
                    zero_point=int(io.zero_point),
                )
            )
        return made

    total = max(address - ctx_addr, _round_up(ctx_size or 0))
    n_dynamic, h_w_dynamic = int(bool(flags & FLAG_BATCH_DYNAMIC)), int(bool(flags & FLAG_HW_DYNAMIC))
    first_of_chip = next((i for i, part in enumerate(parts) if not part.host), None)
    sub_nets = []
    for i, part in enumerate(parts):
        memory = MEMORY_CPU if part.host else MEMORY_TPU
        sub_net = Table(
            "SubNet",
            subnet_mode=SUBNET_CPU if part.host else SUBNET_TPU,
            input_tensor=tensors(part.inputs, memory),
            output_tensor=tensors(part.outputs, memory),
            id=i,
            next_subnet_ids=[i + 1] if i + 1 < len(parts) else None,
        )
        if part.host:
            binary = Binary.of(part.host)
            sub_net.cpu_param = [Table("CpuParam", op_type=USER_OP, binary_param=binary, is_custom=1)]
        else:  # one of them holds the payload of all
            sub_net.is_dynamic = 1
            sub_net.ir_len = len(payload) if i == first_of_chip else 0
            sub_net.n_dynamic, sub_net.h_w_dynamic = n_dynamic, h_w_dynamic
        sub_nets.append(sub_net)
    stage = Table(
        "NetParameter",
        input_tensor=tensors(inputs, 0),
        output_tensor=tensors(outputs, 0),
        ctx_addr=ctx_addr,
        ctx_size=total,
        coeff_mem=coeff_mem if coeff_mem.binary_coeff.size else None,
        is_dynamic=0,
        n_dynamic=n_dynamic,
        h_w_dynamic=h_w_dynamic,
        stage_ir=[Table("StageIR", ir_info_len=len(payload) // 4)],
        binary_ir=Binary.of(payload),
        sub_net=sub_nets,
        cpu_mem_size=sum(math.prod(io.shape) for part in parts if part.host for io in (*part.inputs, *part.outputs)),
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
