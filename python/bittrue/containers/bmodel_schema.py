"""The FlatBuffer tables of a .bmodel file as data: the only place that knows field ids, names and types.

Types: a scalar name ("u8" .. "f32"), "string", a struct name ("Binary", "RelEntry"), a table name, or any of them in
brackets for a vector. `newer` marks fields that vendor tools may drop when they repack a file. Source: libsophon and
tpu-mlir model schemas (Apache-2.0, BSD-2), measured on compiled files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One table field; `default` is the value of an absent scalar."""

    id: int
    name: str
    type: str
    required: bool = False
    newer: bool = False
    default: int | float = 0

    @property
    def is_vector(self) -> bool:
        return self.type.startswith("[")

    @property
    def element(self) -> str:
        """The type without the brackets of a vector."""
        return self.type.strip("[]")


# scalar -> (struct format, bytes)
SCALARS: dict[str, tuple[str, int]] = {
    "u8": ("<B", 1),
    "i32": ("<i", 4),
    "u32": ("<I", 4),
    "u64": ("<Q", 8),
    "f32": ("<f", 4),
}

# struct -> (struct format, bytes, alignment, member names and types)
STRUCTS: dict[str, tuple[str, int, int, tuple[tuple[str, str], ...]]] = {
    "Binary": ("<QQ", 16, 8, (("start", "u64"), ("size", "u64"))),
    "RelEntry": ("<III", 12, 4, (("base_addr_id", "u32"), ("addr_offset", "u32"), ("cmd_offset", "u32"))),
}

ROOT = "Model"

# One line a table: "<name> <type>", "*" required, "=x" default, "+" newer. The position is the id.
_TABLES: dict[str, str] = {
    "Model": "type string*, version string*, time string*, chip string*, net [Net]*, neuron_size u64, "
    "kernel_module KernelModule, device_num u32, cpuop_module CpuopModule, bmodel_type u32+, lib_backend Binary+",
    "KernelModule": "file_name string*, binary Binary*, mode i32+",
    "CpuopModule": "file_name string*, binary Binary*",
    "Net": "name string*, net_static [NetStatic], net_dynamic [NetDynamic], parameter [NetParameter], "
    "cascade Cascade, addr_mode i32",
    "Cascade": "device_id u32, step u32, main_name string",
    "NetParameter": "input_tensor [Tensor]*, output_tensor [Tensor]*, ctx_addr u64, ctx_size u64, coeff_mem CoeffMem, "
    "is_dynamic i32, n_dynamic i32, h_w_dynamic i32, cmd_group [CmdGroup], net_profile Binary, stage_ir [StageIR], "
    "binary_ir Binary, sub_net [SubNet], cpu_mem_size u32, ctx_sizes [u64], net_stat Binary, core_num u32, "
    "io_addr u64, io_size u64, tensor_loc Binary, dynamic_ctx_addr u64+, dynamic_coeff_offset u64+, "
    "dynamic_combined_coeff_offset u64+",
    "Tensor": "name string*, data_type u32, gmem_stmode i32, device_addr u64, size u64, shape [Shape], mem_type u32, "
    "scale f32=1, cpu_addr u32, pad_h u32, zero_point i32, hidden i32, index i32, relentry RelEntry+",
    "Shape": "dim [u64]",
    "CoeffMem": "address u64, check_code [u8], binary_coeff Binary, location [Location], encrypt_mode i32+, "
    "decrypt_size u64+",
    "Location": "name string*, offset u64, size u64",
    "CmdGroup": "bdc_num u32, gdma_num u32, binary_bdc Binary, binary_gdma Binary, bdc_cmd_byte u32, "
    "gdma_cmd_byte u32, reloc_entries [RelEntry]+",
    "CoreCommands": "gdma_tiu_commands [CmdGroup], sdma_commands [Binary], hau_commands [Binary], "
    "cdma_commands [Binary]",
    "StageIR": "ir_info_len u32, height_high i32, height_low i32, width_high i32, width_low i32",
    "SubNet": "subnet_mode i32, cmd_group [CmdGroup], cpu_param [CpuParam], input_tensor [Tensor], "
    "output_tensor [Tensor], is_dynamic i32, ir_offset u32, ir_len u32, n_dynamic i32, h_w_dynamic i32, id i32=-1, "
    "next_subnet_ids [i32], merge_param MergeParam, switch_param SwitchParam, core_commands [CoreCommands], "
    "run_core u32+",
    "CpuParam": "op_type i32, binary_param Binary, cpu_const [CpuConst], is_custom i32",
    "CpuConst": "name string, const_data Binary, check_code [u8]",
    "MergeParam": "output_from [OutputFrom]",
    "OutputFrom": "indice [i32]",
    "SwitchParam": "output_from [i32], output_branch [i32]",
    "NetStatic": "input_tensor [Tensor]*, output_tensor [Tensor]*, cmd_group [CmdGroup], ctx_addr u64, ctx_size u64, "
    "coeff_mem CoeffMem, sub_net [SubNet], net_profile Binary",
    "NetDynamic": "input_tensor [Tensor]*, output_tensor [Tensor]*, n_dynamic i32, h_w_dynamic i32, "
    "stage_ir [StageIR], binary_ir Binary, ctx_addr u64, ctx_size u64, coeff_mem CoeffMem, sub_net [SubNet]",
}


def _parse(text: str) -> tuple[Field, ...]:
    fields = []
    for i, part in enumerate(text.split(", ")):
        name, spec = part.split(" ")
        newer, spec = spec.endswith("+"), spec.rstrip("+")
        required, spec = spec.endswith("*"), spec.rstrip("*")
        kind, _, default = spec.partition("=")
        number = float(default or 0) if kind == "f32" else int(default or 0)
        fields.append(Field(i, name, kind, required, newer, number))
    return tuple(fields)


TABLES: dict[str, tuple[Field, ...]] = {name: _parse(text) for name, text in _TABLES.items()}
FIELDS: dict[str, dict[str, Field]] = {t: {f.name: f for f in fields} for t, fields in TABLES.items()}
