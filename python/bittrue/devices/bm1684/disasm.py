"""One readable line per command. Unknown and reserved encodings are shown as such, nothing is dropped."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from bittrue.devices.bm1684.commands import ENGINES, FIELDS, CommandGroup, decode

# Source of all names: public register definitions of the compiler (BSD-2).
TASKS = {
    0: "conv", 1: "window", 2: "matmul", 3: "arith", 4: "matmul2", 5: "correlation", 6: "lookup", 7: "md_sum",
    8: "md_scalar", 9: "md_sfu", 10: "md_linear", 11: "arrange", 12: "decompress", 13: "md_cmp", 14: "vector_corr",
}  # fmt: skip
OPERATIONS = {
    0: "mul", 1: "mac", 2: "add", 3: "sub", 4: "max", 5: "min", 6: "shift", 7: "and", 8: "or", 9: "xor",
    10: "select_gt", 11: "select_eq", 12: "divide", 13: "taylor", 14: "fp32_to_int", 15: "int_normalize",
    16: "fp32_normalize", 17: "rsqrt", 18: "add_tree", 19: "copy", 20: "square_sum", 21: "square_diff", 22: "cmp",
    23: "select", 24: "cmp_select",
}  # fmt: skip
PRECISIONS = {0: "i8", 1: "f16", 2: "f32", 3: "i16", 4: "i32"}
DIRECTIONS = ("S2L", "L2S", "S2S", "L2L")
FUNCTIONS = {0: "copy", 1: "transpose_nc", 2: "lrn_shift", 3: "convert", 4: "fill", 5: "transpose_cw", 6: "winograd",
             7: "filter", 8: "filter_count"}  # fmt: skip
FORMATS = {0: "f32", 1: "i16", 2: "u8", 3: "i8", 4: "f16"}
# Operands that a task type uses, besides res0.
OPERANDS = {0: 3, 1: 3, 2: 3, 3: 2, 6: 2, 8: 2, 9: 1, 13: 4}
SPATIAL = (0, 1)
Fields = dict[str, int]


def disassemble(group: CommandGroup, engines: tuple[str, ...] = ENGINES) -> Iterator[dict[str, Any]]:
    """One dict per command: group, engine, number, text, fields (all of them, zero or not)."""
    for engine in engines:
        for number, fields in enumerate(decode(engine, group.stream(engine)), 1):
            yield {
                "group": group.index,
                "engine": engine,
                "number": number,
                "text": line(engine, fields),
                "fields": fields,
            }


def line(engine: str, fields: Fields) -> str:
    """A command as text: id, dependency, operation, operands with shape, type, layout and address, attributes."""
    parts = _bdc(fields) if engine == "bdc" else _gdma(fields)
    own, other = ("cmd_id_tpu", "cmd_id_gdma") if engine == "bdc" else ("cmd_id", "eng0_sync_id")
    name = "gdma" if engine == "bdc" else "bdc"
    head = f"{engine:<4} {fields[own]:>5} after {name} {fields[other]:<5}"
    return " ".join([head, *parts, *_odd(engine, fields)])


def _float(bits: int) -> str:
    return f"{struct.unpack('<f', struct.pack('<I', bits))[0]:.9g}"


def _precision(code: int, signed: int | None = None) -> str:
    name = PRECISIONS.get(code, f"precision{code}")
    return "u" + name[1:] if signed == 0 and code in (0, 3) else name


def _bdc_operand(f: Fields, name: str, shape: str) -> str:
    constant = f.get("opt_opd3_const" if name == "opd3" else f"opt_{name}_const", 0)
    code = f.get(f"opt_{'res0' if name == 'res1' else name}_prec", f["opt_opd0_prec"])
    kind = _precision(code, f.get(f"opt_{name}_sign"))
    address = f[f"{name}_addr"]
    if constant:
        return f"{name}={_float(address) if code == 2 else hex(address)}:{kind}"
    layout = f.get(f"short_{name}_str", 0)
    strides = ""
    if layout and f"{name}_n_str" in f:
        strides = " str(" + ",".join(str(f[f"{name}_{a}_str"]) for a in "nchw") + ")"
    batch = " n=1" if f.get(f"{name}_neq1") else ""
    return f"{name}={kind}{shape}@{address:#x}{strides}{batch}"


def _shape(f: Fields, name: str) -> str:
    return "[" + ",".join(str(f[f"{name}_{a}"]) for a in "nchw") + "]"


def _bdc(f: Fields) -> list[str]:
    task = f["tsk_typ"]
    operation = OPERATIONS.get(f["tsk_eu_typ"], f"eu{f['tsk_eu_typ']}")
    parts = [f"{TASKS.get(task, f'task{task}')}.{operation}", _bdc_operand(f, "res0", _shape(f, "res0"))]
    if task == 13:
        parts.append(_bdc_operand(f, "res1", _shape(f, "res0")))
    res = _shape(f, "res0")
    shapes = {
        "opd0": _shape(f, "opd0") if task == 2 else res,
        "opd1": res,
        "opd2": res,
        "opd3": res,
    }
    if task in SPATIAL:
        channels = f["opd0_c"] if task == 0 else f["res0_c"]
        shapes["opd0"] = f"[{f['res0_n']},{channels},{f['opd0_h']},{f['opd0_w']}]"
        shapes["opd1"] = f"[{f['res0_c']},{f['opd0_c'] if task == 0 else 1},{f['opd1_h']},{f['opd1_w']}]"
        shapes["opd2"] = f"[{f['res0_c']}]"
    elif task == 2:
        depth = (f["opd0_c"] - 1) * f["opd0_w"] + f["opd1_w"]
        shapes["opd0"] = f"[{f['opd0_n']},{depth}]"
        shapes["opd1"] = f"[{depth},{f['res0_c']}*{f['res0_w']}]"
        shapes["opd2"] = f"[{f['res0_c']}*{f['res0_w']}]"
        parts[-1] = _bdc_operand(f, "res0", f"[{f['opd0_n']},{f['res0_c']}*{f['res0_w']}]")
    elif task in (6, 9):
        shapes["opd1"] = f"[table {f['opd1_n']}]" if task == 9 else f"[table 2^{f['opd1_h']}]"
    used = OPERANDS.get(task, 4)
    if task in (0, 1, 2):
        used = min(used, f["tsk_opd_num"]) if f["tsk_opd_num"] else used
    if task == 9 and f["tsk_eu_typ"] == 13:
        used = 2
    if task == 3 and f["tsk_eu_typ"] == 19:
        used = 1
    parts += [_bdc_operand(f, f"opd{i}", shapes[f"opd{i}"]) for i in range(used)]
    return parts + _bdc_attributes(f, task)


def _bdc_attributes(f: Fields, task: int) -> list[str]:
    parts = []
    if task in SPATIAL:
        parts.append(f"stride={f['res_op_y_str']},{f['res_op_x_str']}")
        pads = [f[f"opd0_{side}_pad"] for side in ("up", "dn", "lf", "rt")]
        if any(pads):
            parts.append("pad=" + ",".join(map(str, pads)))
        if f["opd1_y_ins0"] or f["opd1_x_ins0"]:
            parts.append(f"dilation={f['opd1_y_ins0'] + 1},{f['opd1_x_ins0'] + 1}")
        if f["opd0_y_ins0"] or f["opd0_x_ins0"]:
            parts.append(f"insert={f['opd0_y_ins0']},{f['opd0_x_ins0']}")
    if f["opt_right_shift"]:
        parts.append(f"rshift={f['opt_right_shift']}")
    if f["opt_left_shift"]:
        parts.append(f"lshift={f['opt_left_shift']}")
    if task == 3 and f["tsk_eu_typ"] == 6:
        parts.append("arithmetic" if f["opt_shift_typ"] else "logical")
    if task == 3 and f["tsk_eu_typ"] in (10, 11):
        parts.append(f"then={f['opd2_addr']:#x}")
    integer = f["opt_opd0_prec"] not in (2, 4)
    flags = {"opt_relu": integer and task != 3, "opt_res_add": True, "opt_left_tran": True, "opt_winograd": True,
             "opt_kernel_rotate": True}  # fmt: skip
    return parts + [name[4:] for name, shown in flags.items() if shown and f[name]]


def _gdma_side(f: Fields, side: str) -> str:
    address = f[f"{side}_start_addr_l32"] | f[f"{side}_start_addr_h8"] << 32
    if f["common_mode"]:
        return f"{side}=[{f['src_nstride']}]@{address:#x}"
    prefix = "src" if side == "dst" and f["chw_copy"] else side
    shape = [f[f"{prefix}_{a}size"] for a in "nchw"]
    if side == "dst" and f["special_func"] == 1 and not f["sys_mem_type"]:
        shape = [f["src_csize"], f["src_nsize"], f["src_hsize"], f["src_wsize"]]
    strides = " str(" + ",".join(str(f[f"{side}_{a}stride"]) for a in "nchw") + ")" if f["stride_enable"] else ""
    return f"{side}=[{','.join(map(str, shape))}]@{address:#x}{strides}"


def _gdma(f: Fields) -> list[str]:
    function = FUNCTIONS.get(f["special_func"], f"function{f['special_func']}")
    mode = ".linear" if f["common_mode"] else ".matrix" if f["sys_mem_type"] else ""
    parts = [f"{DIRECTIONS[f['direction']]}.{function}{mode}.{FORMATS.get(f['src_data_format'], 'format?')}"]
    parts.append(_gdma_side(f, "dst"))
    parts.append(f"value={f['constant_value']:#x}" if f["special_func"] == 4 else _gdma_side(f, "src"))
    if f["acc_write_enable"]:
        parts.append("accumulate")
    return parts


# Fields whose value says nothing in every stream seen; any other value is shown.
USUAL = {
    "bdc": {
        "cmd_en": (1,), "cmd_id_en": (1,), "tsk_lane_num": (2**64 - 1,), "cmd_end": (0,), "cmd_keep": (0,),
        "cmd_intr_en": (0,), "rsvd0": (0,),
    },
    "gdma": {
        "pio_gdma_enable": (1,), "barrier_enable": (1,), "prefetch_disable": (1,), "lrn_shift_num": (1,),
        "localmem_mask_l32": (2**32 - 1,), "localmem_mask_h32": (2**32 - 1,), "eng1_sync_id": (0,),
        "eng3_sync_id": (0,), "reserved": (0,), "des_type": (0,), "chain_end": (0,), "intr_en": (0,),
        "hold_des_value": (0,), "lrn_shift_dir": (0,), "single_step": (0,), "debug_mode": (0,),
    },
}  # fmt: skip
SHIFTS = ("res0_h_shift", "res0_w_shift", "opd0_h_shift", "opd0_w_shift", "opd1_h_shift", "opd1_w_shift",
          "src_hshift", "src_wshift", "dst_hshift", "dst_wshift")  # fmt: skip


def _odd(engine: str, f: Fields) -> list[str]:
    """Unusual values of fields that no operation reads, so that reserved encodings are seen."""
    usual = dict.fromkeys([n for n, _, _ in FIELDS[engine] if n.startswith("unused_") or n in SHIFTS], (0,))
    odd = [f"{n}={f[n]:#x}" for n, values in {**USUAL[engine], **usual}.items() if f[n] not in values]
    if engine == "bdc" and f["tsk_typ"] not in OPERANDS:
        used = {"tsk_typ", "tsk_eu_typ", "cmd_id_tpu", "cmd_id_gdma"}
        odd = [f"{n}={v:#x}" for n, v in f.items() if v and n not in used and v not in USUAL[engine].get(n, ())]
    return odd
