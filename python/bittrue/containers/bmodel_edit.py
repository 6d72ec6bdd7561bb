"""Taking .bmodel files apart and putting them together: extract, combine, slices, weights, modules.

Functions work on models in memory and raise DataError with the vendor's wording; files are written by the caller or
through `write_bmodel`, so nothing is half written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bittrue.containers.bmodel import VERSION, Bmodel, StageRef, new_model
from bittrue.containers.bmodel_codes import tensor_shape, type_name
from bittrue.containers.flat import Binary, Table, copy_tree
from bittrue.errors import DataError


def stage_file_name(ref: StageRef) -> str:
    """Name that `extract` gives a stage."""
    return f"bm_net{ref.net_index}_stage{ref.stage_index}.bmodel"


def extract(model: Bmodel) -> Iterator[tuple[str, Bmodel]]:
    """(file name, model) of every stage alone; modules and device_num are dropped."""
    for ref in model.stages():
        root = new_model(model.chip)
        root.net = [_bare_net(ref.net, [copy_tree(ref.stage)])]
        root.neuron_size = ref.stage.ctx_size
        yield stage_file_name(ref), Bmodel(root)


def _bare_net(net: Table, stages: list[Table]) -> Table:
    cascade = copy_tree(net.cascade) if net.cascade is not None else None
    return Table("Net", name=net.name, parameter=stages, cascade=cascade, addr_mode=net.addr_mode)


@dataclass(frozen=True)
class Combined:
    """Result of `combine`. sources: for each stage of `model`, net-major, (index of the source model, its StageRef)."""

    model: Bmodel
    sources: list[tuple[int, StageRef]]


def combine(models: Sequence[Bmodel], *, force: bool = False) -> Combined:
    """Joins models: stages of nets with the same name go under one net.

    Chip and modules come from the first model; version becomes the plain one and time is renewed.
    force: accept models of other chips.
    Raises DataError for conflicting stages or chips.
    """
    if not models:
        raise DataError("there is no model to combine")
    first = models[0]
    root = new_model(first.chip, version=VERSION)
    nets: dict[str, Table] = {}
    origins: dict[str, list[tuple[int, StageRef]]] = {}
    for index, model in enumerate(models):
        if model.chip != first.chip and not force:
            raise DataError(f"chip of [{model.path}] is {model.chip}, expected {first.chip}")
        for ref in model.stages():
            name = ref.net.name
            if name not in nets:
                nets[name] = _bare_net(ref.net, [])
                origins[name] = []
            elif reason := net_conflict(nets[name], ref.net, ref.stage):
                raise DataError(f"net[{name}] {reason}")
            nets[name].parameter.append(copy_tree(ref.stage))
            origins[name].append((index, ref))
    root.net = list(nets.values())
    for module in ("kernel_module", "cpuop_module"):
        value = getattr(first.root, module)
        setattr(root, module, copy_tree(value) if value is not None else None)
    root.device_num = max(m.root.device_num for m in models)
    root.neuron_size = max([0, *(s.ctx_size for net in root.net for s in net.parameter)])
    return Combined(Bmodel(root), [entry for name in nets for entry in origins[name]])


def net_conflict(net: Table, other: Table, stage: Table) -> str:
    """Why `stage` of net `other` cannot be a further stage of `net`; "" when it can."""
    if net.addr_mode != other.addr_mode:
        return "addr_mode should be the same"
    if net.cascade is not None or other.cascade is not None:
        return "cascade net can have one stage only"
    for present in net.parameter:
        if reason := stage_conflict(present, stage):
            return reason
    return ""


def stage_conflict(a: Table, b: Table) -> str:
    """Why two stages cannot belong to one net; "" when they can."""
    if a.is_dynamic != b.is_dynamic:
        return "cannot has dynamic and static at the same time"
    if reason := _tensor_conflict(a.input_tensor, b.input_tensor):
        return f"input tensors is conflict: {reason}"
    if (a.n_dynamic, a.h_w_dynamic) != (b.n_dynamic, b.h_w_dynamic):
        return "dynamic is conflict."
    if (len(a.sub_net or []) > 1) != (len(b.sub_net or []) > 1):
        return "sub net is conflict."
    return ""


def _tensor_conflict(a: list[Table], b: list[Table]) -> str:
    if len(a) != len(b):
        return f"tensor size is not the same, [{len(a)}] vs [{len(b)}]"
    for x, y in zip(a, b, strict=True):
        pairs = (
            ("name", x.name, y.name),
            ("type", type_name(x.data_type), type_name(y.data_type)),
            ("scale", x.scale, y.scale),
            ("zero_point", x.zero_point, y.zero_point),
            ("shape count", len(x.shape or []), len(y.shape or [])),
        )
        for what, p, q in pairs:
            if p != q:
                return f"tensor {what} is not the same, [{p}] vs [{q}]"
    if all(tensor_shape(x) == tensor_shape(y) for x, y in zip(a, b, strict=True)):
        return "tensor shape should not be the same"
    return ""


def dump_slice(model: Bmodel, start: int, size: int) -> bytes:
    """Raw bytes [start, start+size) of the binary section as read. Raises DataError for size 0 or beyond its end."""
    if size <= 0 or start < 0 or start + size > len(model.section):
        raise DataError(f"start[0x{max(start, 0):x}] size[0x{max(size, 0):x}] is not supproted")
    return bytes(model.section[start : start + size])


@dataclass(frozen=True)
class WeightUpdate:
    """What `update_weight` changed. shared: other stages whose weights changed, or kept theirs with `private`."""

    name: str
    size: int
    shared: list[str]


def _find_weight(model: Bmodel, net: str, offset: int, stage: int, side: str) -> tuple[Table, Table]:
    for candidate in model.nets:
        if candidate.name != net or not 0 <= stage < len(candidate.parameter or []):
            continue
        coeff = candidate.parameter[stage].coeff_mem
        if coeff is None or coeff.binary_coeff is None:
            continue
        for loc in coeff.location or []:
            if loc.offset == offset and loc.offset + loc.size <= coeff.binary_coeff.size:
                return coeff, loc
    raise DataError(f"get {side} weight failed by net_name:{net}, offset:0x{offset:x}")


def update_weight(
    dst: Bmodel,
    dst_net: str,
    dst_offset: int,
    src: Bmodel,
    src_net: str,
    src_offset: int,
    *,
    stage: int = 0,
    private: bool = False,
) -> WeightUpdate:
    """Copies the coefficients of one Location of `src` over one of `dst` and renews check_code.

    Offsets must be Location offsets; name and size of both Locations must agree. stage: in both nets.
    private: change only this stage; otherwise every stage that shares the blob changes.
    Raises DataError with the vendor's wording when a weight is not found or differs.
    """
    target, dst_loc = _find_weight(dst, dst_net, dst_offset, stage, "dst")
    source, src_loc = _find_weight(src, src_net, src_offset, stage, "src")
    if (dst_loc.name, dst_loc.size) != (src_loc.name, src_loc.size):
        raise DataError("weight not the same")
    old = target.binary_coeff
    data = bytearray(bytes(old))
    new = source.binary_coeff.data[src_loc.offset : src_loc.offset + src_loc.size]
    data[dst_loc.offset : dst_loc.offset + dst_loc.size] = new
    blob, code = Binary.of(bytes(data)), hashlib.sha256(data).digest()
    shared = []
    for i, j, _, other in dst.stages():
        coeff = other.coeff_mem
        if coeff is None or coeff is target or coeff.binary_coeff is None or coeff.binary_coeff != old:
            continue
        shared.append(f"net[{i}] stage[{j}]")
        if not private:
            coeff.binary_coeff, coeff.check_code = blob, code
    target.binary_coeff, target.check_code = blob, code
    return WeightUpdate(dst_loc.name, dst_loc.size, shared)


def kernel_dump(model: Bmodel) -> tuple[str, bytes]:
    """(base name, bytes) of the kernel module; it is never loaded. Raises DataError when there is none."""
    module = model.root.kernel_module
    if module is None or not module.binary.size:
        raise DataError("no kernel_module found.")
    return base_name(module.file_name) or "kernel_module.so", bytes(module.binary)


def base_name(name: str) -> str:
    """The last part of a name from a file, safe to create in a folder; "" when nothing is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1].replace("\0", "")
    return "" if last in (".", "..") else last


def kernel_update(model: Bmodel, path: str | os.PathLike[str]) -> str:
    """Puts the bytes of a file in as kernel module and returns its name. Raises DataError when it cannot be read."""
    name = base_name(os.fspath(path))
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise DataError(f"module name [{os.fspath(path)}] is not correct") from e
    if not name or not data:
        raise DataError(f"module name [{os.fspath(path)}] is not correct")
    model.root.kernel_module = Table("KernelModule", file_name=name, binary=Binary.of(data))
    return name


def kernel_remove(model: Bmodel) -> None:
    """Removes the kernel module. Raises DataError when there is none."""
    if model.root.kernel_module is None:
        raise DataError("no kernel_module found.")
    model.root.kernel_module = None
