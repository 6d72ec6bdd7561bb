"""Text of `bmodel info`, `print` and `weight`, in the layouts that scripts around the vendor's tools parse.

Two styles: "libsophon" (default) and "mlir", the spelling of the tpu-mlir tool.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from bittrue.containers.bmodel import Bmodel
from bittrue.containers.bmodel_codes import tensor_shape, type_name
from bittrue.containers.bmodel_memory import memory_use
from bittrue.containers.bmodel_schema import SCALARS, STRUCTS, TABLES, Field
from bittrue.containers.build import stage_dynamic, stage_kind
from bittrue.containers.flat import Table

LIBSOPHON, MLIR = "libsophon", "mlir"
STYLES = (LIBSOPHON, MLIR)
DOUBLE = "=" * 42
SINGLE = "-" * 12
WEIGHT_RULE = "-" * 31


def net_dynamic(net: Table) -> bool:
    """True when the first stage of a net is dynamic."""
    return bool(net.parameter) and stage_dynamic(net.parameter[0])


def info_text(model: Bmodel, *, style: str = LIBSOPHON, vendor_numbers: bool = False, all_nets: bool = False) -> str:
    """The overview of a model. all_nets: list the parts of cascade nets like other nets, too.

    vendor_numbers: the memory line as the vendor's tool adds it up, and its view of what is dynamic.
    """
    root = model.root
    devices = f",  device num: {root.device_num}" if root.device_num > 1 else ""
    lines = [f"bmodel version: {root.type}.{root.version}", f"chip: {root.chip}{devices}", f"create time: {root.time}"]
    lines += _module_lines("kernel_module", root.kernel_module, style)
    if style == LIBSOPHON:
        lines += _module_lines("cpuop_module", root.cpuop_module, style)
    for i, net in enumerate(model.nets):
        if all_nets or net.cascade is None or not net.cascade.main_name:
            lines += _net_lines(i, net, style, vendor_numbers)
    lines += _cascade_lines(model, style)
    use = memory_use(model, vendor_numbers=vendor_numbers)
    weight = "weight" if style == LIBSOPHON else "coeff"
    lines += ["", ""] if style == LIBSOPHON else [""]
    lines.append(
        f"device mem size: {use.device} ({weight}: {use.weight}, instruct: {use.instruct}, runtime: {use.runtime})"
    )
    lines.append(f"host mem size: {use.host} ({weight}: {use.host_weight}, runtime: {use.host_runtime})")
    return "\n".join(lines) + "\n"


def _module_lines(title: str, module: Table | None, style: str) -> list[str]:
    if module is None:
        return [f"{title}: not found!"] if style == LIBSOPHON else []
    lines = [f"{title} name: {module.file_name}", f"{title} size: {module.binary.size}"]
    if style == LIBSOPHON:
        lines.append(f"{title} md5: {_md5(module)}")
    return lines


def _md5(module: Table) -> str:
    return hashlib.md5(module.binary.data or b"", usedforsecurity=False).hexdigest()


def _net_lines(index: int, net: Table, style: str, vendor_numbers: bool) -> list[str]:
    stages = net.parameter or []
    dynamic = bool(stages and stages[0].is_dynamic) if vendor_numbers else net_dynamic(net)
    lines = [DOUBLE, f"net {index}: [{net.name}]  {'dynamic' if dynamic else 'static'}"]
    if net.addr_mode:
        lines.append(f"addr mode: {net.addr_mode}")
    for j, stage in enumerate(stages):
        lines.append(SINGLE)
        lines.append(f"stage {j}, core num: {max(stage.core_num, 1)}" if style == LIBSOPHON else f"stage {j}:")
        if len(stage.sub_net or []) > 1:
            lines.append(f"subnet number: {len(stage.sub_net)}")
        variable = bool(stage.n_dynamic or stage.h_w_dynamic)
        lines += [_tensor_line("input", t, style, variable) for t in stage.input_tensor]
        lines += [_tensor_line("output", t, style, False) for t in stage.output_tensor]
    return lines


def _cascade_lines(model: Bmodel, style: str) -> list[str]:
    groups: dict[str, list[Table]] = {}
    for net in model.nets:
        if net.cascade is not None and net.cascade.main_name:
            groups.setdefault(net.cascade.main_name, []).append(net)
    lines: list[str] = []
    for main, nets in groups.items():
        lines += [DOUBLE, f"net: [{main}]  cascade", SINGLE]
        for title, codes in (("input", (1, 3)), ("output", (2, 4))):
            found = [
                (net.cascade.device_id, t.index, t)
                for net in nets
                for stage in net.parameter or []
                for t in [*stage.input_tensor, *stage.output_tensor]
                if t.hidden in codes
            ]
            found.sort(key=lambda entry: entry[:2])
            lines += [_tensor_line(title, t, style, False) for _, _, t in found]
    return lines


def _tensor_line(title: str, tensor: Table, style: str, variable: bool) -> str:
    dims = [f"max:{d}" if variable else str(d) for d in tensor_shape(tensor)]
    shape = f"[{', '.join(dims)}]" if dims else "[ ]"
    zero = "zero point" if style == LIBSOPHON else "zero_point"
    return (
        f"{title}: {tensor.name}, {shape}, {type_name(tensor.data_type)}, "
        f"scale: {tensor.scale:.6g}, {zero}: {tensor.zero_point}"
    )


def info_dict(model: Bmodel, *, vendor_numbers: bool = False) -> dict[str, Any]:
    """The overview as plain data for --json."""
    root = model.root
    use = memory_use(model, vendor_numbers=vendor_numbers)
    modules = {
        name: {"name": m.file_name, "size": m.binary.size, "md5": _md5(m)}
        for name in ("kernel_module", "cpuop_module")
        if (m := getattr(root, name)) is not None
    }
    return {
        "version": f"{root.type}.{root.version}",
        "chip": root.chip,
        "device_num": root.device_num,
        "time": root.time.strip(),
        "modules": modules,
        "nets": [
            {
                "name": net.name,
                "dynamic": net_dynamic(net),
                "addr_mode": net.addr_mode,
                "stages": [_stage_dict(stage) for stage in net.parameter or []],
            }
            for net in model.nets
        ],
        "device_memory": {
            "total": use.device,
            "weight": use.weight,
            "instruct": use.instruct,
            "runtime": use.runtime,
        },
        "host_memory": {"total": use.host, "weight": use.host_weight, "runtime": use.host_runtime},
    }


def _stage_dict(stage: Table) -> dict[str, Any]:
    def tensors(side: list[Table]) -> list[dict[str, Any]]:
        return [
            {
                "name": t.name,
                "shape": list(tensor_shape(t)),
                "dtype": type_name(t.data_type),
                "scale": float(f"{t.scale:.9g}"),
                "zero_point": t.zero_point,
            }
            for t in side
        ]

    return {
        "kind": stage_kind(stage),
        "core_num": max(stage.core_num, 1),
        "subnets": len(stage.sub_net or []),
        "inputs": tensors(stage.input_tensor),
        "outputs": tensors(stage.output_tensor),
    }


def weight_text(model: Bmodel) -> str:
    """The Locations of every stage that has some; "" when there are none."""
    lines = []
    for i, j, net, stage in model.stages():
        locations = stage.coeff_mem.location if stage.coeff_mem is not None else None
        if not locations:
            continue
        lines += [f'net {i} : "{net.name}", stage:{j}', WEIGHT_RULE]
        lines += [f"{loc.name} : [0x{loc.offset:x}, 0x{loc.offset + loc.size:x})" for loc in locations]
        lines.append(DOUBLE)
    return "\n".join(lines) + "\n" if lines else ""


def print_text(model: Bmodel, *, style: str = LIBSOPHON) -> str:
    """The whole FlatBuffer as text: fields in id order, unquoted keys, scalars also at their default."""
    return "".join(_Printer(style).table(model.root, 0)) + "\n"


class _Printer:
    def __init__(self, style: str) -> None:
        self.hex = style == LIBSOPHON

    def scalar(self, kind: str, value: Any) -> str:
        if kind == "f32":
            text = f"{value:.6f}".rstrip("0")
            return text + "0" if text.endswith(".") else text
        if not self.hex:
            return str(value)
        return f"0x{value & 0xFFFFFFFF if value < 0 else value:02X}"

    def table(self, table: Table, depth: int) -> Iterator[str]:
        yield "{\n"
        pad = "  " * (depth + 1)
        first = True
        for field in TABLES[table.kind]:
            value = getattr(table, field.name)
            if value is None or (field.newer and field.name not in table.values):
                continue
            yield f"{'' if first else f',{chr(10)}'}{pad}{field.name}: "
            yield from self.value(field, value, depth + 1)
            first = False
        yield f"{'' if first else chr(10)}{'  ' * depth}}}"

    def value(self, field: Field, value: Any, depth: int) -> Iterator[str]:
        if field.is_vector and field.element in SCALARS:
            yield self.numbers([self.scalar(field.element, v) for v in value], depth)
        elif field.is_vector:
            yield from self.items(field.element, value, depth)
        else:
            yield from self.item(field.type, value, depth)

    def item(self, kind: str, value: Any, depth: int) -> Iterator[str]:
        if kind in SCALARS:
            yield self.scalar(kind, value)
        elif kind == "string":
            yield json.dumps(value, ensure_ascii=False)
        elif kind in STRUCTS:
            pad = "  " * (depth + 1)
            members = [f"{pad}{name}: {self.scalar(t, getattr(value, name))}" for name, t in STRUCTS[kind][3]]
            yield "{\n" + ",\n".join(members) + f"\n{'  ' * depth}}}"
        else:
            yield from self.table(value, depth)

    def items(self, kind: str, values: list[Any], depth: int) -> Iterator[str]:
        pad = "" if self.hex or not values else "\n" + "  " * (depth + 1)
        inner = depth if self.hex else depth + 1
        yield "["
        for i, value in enumerate(values):
            yield ("," if i else "") + pad
            yield from self.item(kind, value, inner)
        yield ("" if self.hex or not values else "\n" + "  " * depth) + "]"

    def numbers(self, texts: list[str], depth: int) -> str:
        if not texts:
            return "[]"
        step = 8 if self.hex else 1
        if self.hex and len(texts) <= step:
            return f"[{','.join(texts)}]"
        pad = "  " * (depth + 1)
        rows = [pad + ",".join(texts[i : i + step]) for i in range(0, len(texts), step)]
        return "[\n" + ",\n".join(rows) + f"\n{'  ' * depth}]"
