"""The memory figures of `bmodel info`: what a loaded model takes on the device and on the host."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from bittrue.containers.bmodel import Bmodel
from bittrue.containers.bmodel_codes import SUBNET_CPU, SUBNET_TPU, chip_facts, tensor_shape
from bittrue.containers.flat import Table


@dataclass(frozen=True)
class MemoryUse:
    """Bytes by purpose."""

    weight: int
    instruct: int
    runtime: int
    host_weight: int
    host_runtime: int

    @property
    def device(self) -> int:
        return self.weight + self.instruct + self.runtime

    @property
    def host(self) -> int:
        return self.host_weight + self.host_runtime


def memory_use(model: Bmodel, *, vendor_numbers: bool = False) -> MemoryUse:
    """Adds up a model's memory.

    vendor_numbers: repeat the arithmetic of the vendor's tool (stage 0 counted for every stage, IR bytes times 4,
    context size of multi-subnet nets only of the last net, ctx_sizes ignored).
    """
    weights: dict[bytes, int] = {}
    host_weights: dict[bytes, int] = {}
    instruct = middle = single = multi = host_runtime = 0
    for net in model.nets:
        own = 0
        for stage in net.parameter or []:
            if vendor_numbers:
                stage = net.parameter[0]
            _count_weights(stage, weights, host_weights)
            instruct += sum(_instructions(s, model.chip, vendor_numbers) for s in _parts(stage))
            middle = max([middle, *(4 * math.prod(tensor_shape(t)) for t in _tensors(stage))])
            context = stage.ctx_size if vendor_numbers or not stage.ctx_sizes else sum(stage.ctx_sizes)
            if len(stage.sub_net or []) > 1:
                own = max(own, context)
            else:
                single = max(single, context)
            host_runtime = max(host_runtime, 4 * stage.cpu_mem_size)
        multi = own if vendor_numbers else multi + own
    return MemoryUse(sum(weights.values()), instruct, single + multi + middle, sum(host_weights.values()), host_runtime)


def _tensors(stage: Table) -> Iterable[Table]:
    yield from stage.input_tensor
    yield from stage.output_tensor


def _parts(stage: Table) -> Iterable[Table]:
    """The subnets; of stages without any, the stage itself."""
    return stage.sub_net or [stage]


def _count_weights(stage: Table, device: dict[bytes, int], host: dict[bytes, int]) -> None:
    coeff = stage.coeff_mem
    if coeff is not None and coeff.binary_coeff is not None:
        device[coeff.check_code or b""] = coeff.binary_coeff.size
    for subnet in stage.sub_net or []:
        for param in subnet.cpu_param or [] if subnet.subnet_mode == SUBNET_CPU else []:
            for const in param.cpu_const or []:
                if const.const_data is not None:
                    host[const.check_code or b""] = const.const_data.size


def _instructions(part: Table, chip: str, vendor_numbers: bool) -> int:
    if part.kind == "SubNet" and part.subnet_mode != SUBNET_TPU:
        return 0
    if part.is_dynamic:
        if part.kind == "SubNet":
            return int(part.ir_len) * (4 if vendor_numbers else 1)
        return part.binary_ir.size if part.binary_ir is not None else 0
    groups = list(part.cmd_group or [])
    size = 0
    if part.kind == "SubNet" and not vendor_numbers:
        for core in part.core_commands or []:
            groups += core.gdma_tiu_commands or []
            for name in ("sdma_commands", "hau_commands", "cdma_commands"):
                size += sum(b.size for b in getattr(core, name) or [])
    fixed = chip_facts(chip).command_bytes
    for group in groups:
        if fixed:
            size += fixed * (group.bdc_num + group.gdma_num)
        else:
            size += sum(b.size for b in (group.binary_bdc, group.binary_gdma) if b is not None)
    return size
