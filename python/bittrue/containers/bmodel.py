"""Reading and writing .bmodel files: header, FlatBuffer, binary section.

Nothing in a file is ever executed: kernel_module, cpuop_module and lib_backend are only bytes here.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bittrue.containers.bmodel_schema import FIELDS
from bittrue.containers.flat import Binary, Table, binaries, read_flat, write_flat
from bittrue.errors import DataError, UnsupportedError

MAGIC = 0xFF55AAEE
OLD_MAGIC = 0xFF55AAFF
HEADER = struct.Struct("<4I48x")
TYPE, VERSION = "B", "2.2"


class StageRef(NamedTuple):
    """A stage with its place in the model."""

    net_index: int
    stage_index: int
    net: Table
    stage: Table


@dataclass
class Bmodel:
    """A model: the `Model` table, whose Binary fields carry their bytes.

    section: the binary section as read (empty for models built in memory).
    """

    root: Table
    path: str = ""
    section: memoryview = field(default_factory=lambda: memoryview(b""))

    @property
    def nets(self) -> list[Table]:
        return self.root.net

    @property
    def chip(self) -> str:
        return self.root.chip

    def stages(self) -> Iterator[StageRef]:
        """All stages, net-major."""
        for i, net in enumerate(self.nets):
            for j, stage in enumerate(net.parameter or []):
                yield StageRef(i, j, net, stage)

    def net(self, name: str) -> Table:
        """The net with this name. Raises DataError when there is none."""
        for net in self.nets:
            if net.name == name:
                return net
        raise DataError(f"net '{name}' is not in {self.path or 'the model'}")

    def stage(self, net: str | None = None, stage: int = 0) -> Table:
        """A stage of a net (default: the first net). Raises DataError when it does not exist."""
        if net is None and not self.nets:
            raise DataError(f"{self.path or 'the model'} has no net")
        found = self.nets[0] if net is None else self.net(net)
        stages = found.parameter or []
        if not 0 <= stage < len(stages):
            raise DataError(f"net '{found.name}' has {len(stages)} stages, there is no stage {stage}")
        return stages[stage]


def is_bmodel(path: str | os.PathLike[str]) -> bool:
    """True when the file starts with the magic of a .bmodel (old format included)."""
    try:
        with open(path, "rb") as f:
            head = f.read(4)
    except OSError:
        return False
    return len(head) == 4 and int.from_bytes(head, "little") in (MAGIC, OLD_MAGIC)


def read_bmodel(path: str | os.PathLike[str], *, convert: bool = True) -> Bmodel:
    """Reads and verifies a .bmodel file.

    convert: turn nets of old files (NetStatic, NetDynamic) into stages.
    Raises DataError, with one line that names the file, for anything that is not a sound model.
    """
    name = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise DataError(f"File[{name}] open failed.") from e
    return parse_bmodel(data, name, convert=convert)


def parse_bmodel(data: bytes, name: str = "memory", *, convert: bool = True) -> Bmodel:
    """`read_bmodel` of bytes; `name` is used in messages."""
    if len(data) <= HEADER.size:
        raise DataError(f"File[{name}] is broken . ({len(data)} bytes, shorter than a header)")
    magic, header_size, flat_size, binary_size = HEADER.unpack_from(data)
    if magic == OLD_MAGIC:
        raise DataError(f"File[{name}] is broken .. (format of an older compiler, magic 0x{magic:X})")
    if magic != MAGIC:
        raise DataError(f"File[{name}] is broken .. (magic 0x{magic:08X}, expected 0x{MAGIC:X})")
    if header_size != HEADER.size:
        raise DataError(
            f"File[{name}]: encrypted model, decrypt it with the vendor's tool and your key library "
            f"(header size {header_size})"
        )
    need = header_size + flat_size + binary_size
    if len(data) < need:
        raise DataError(f"File[{name}] is broken ... ({len(data)} bytes, the header promises {need})")
    try:
        root = read_flat(data[header_size : header_size + flat_size])
    except DataError as e:
        raise DataError(f"Model file[{name}] is broken. ({e})") from e
    section = memoryview(data)[header_size + flat_size : need]
    for where, binary in binaries(root):
        end = binary.start + binary.size
        if end > binary_size:
            raise DataError(
                f"File[{name}]: Binary {where} [0x{binary.start:x},0x{end:x}) outside the binary section "
                f"of 0x{binary_size:x} bytes"
            )
        binary.data = section[binary.start : end]
    if convert:
        _convert_old(root)
    return Bmodel(root, name, section)


def _convert_old(root: Table) -> None:
    """Nets without stages get one for each NetStatic and NetDynamic (fields by name)."""
    if all(net.parameter for net in root.net):
        return
    known = FIELDS["NetParameter"]
    for net in root.net:
        if net.parameter:
            continue
        stages = []
        for old in [*(net.net_static or []), *(net.net_dynamic or [])]:
            stage = Table("NetParameter", **{k: v for k, v in old.values.items() if k in known})
            if old.kind == "NetDynamic":
                stage.is_dynamic = 1
            stages.append(stage)
        net.net_static = net.net_dynamic = None
        net.parameter = stages


class _Section:
    """Binary section under construction: equal blobs are stored once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.known: dict[tuple[int, bytes], int] = {}

    def place(self, binary: Binary) -> tuple[int, int]:
        data = bytes(binary)
        if not data:
            return self.size, 0
        key = (len(data), hashlib.sha256(data).digest())
        if key not in self.known:
            self.known[key] = self.size
            self.parts.append(data)
            self.size += len(data)
        return self.known[key], len(data)


def bmodel_bytes(model: Bmodel) -> bytes:
    """The file contents of a model; blobs with equal bytes are stored once.

    Raises UnsupportedError when the binary section would reach 4 GiB, DataError when a required field is missing.
    """
    section = _Section()
    flat = write_flat(model.root, section.place)
    if section.size >= 1 << 32:
        raise UnsupportedError("the format holds less than 4 GiB of weights and commands; split the net")
    return b"".join([HEADER.pack(MAGIC, HEADER.size, len(flat), section.size), flat, *section.parts])


def write_bmodel(model: Bmodel, path: str | os.PathLike[str]) -> None:
    """Writes a model to a temporary file beside `path` and renames it, so `path` is never half written."""
    write_atomic(path, bmodel_bytes(model))


def temporary_beside(target: Path) -> Path:
    """An empty file in the folder of `target`, with the mode of a new file, to be renamed to it. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    os.chmod(name, 0o666 & ~_umask())
    return Path(name)


def write_atomic(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes bytes to a temporary file in the same folder, then renames. Raises DataError when the folder refuses."""
    target = Path(path)
    temporary = None
    try:
        temporary = temporary_beside(target)
        temporary.write_bytes(data)
        os.replace(temporary, target)
    except OSError as e:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise DataError(f"cannot write {target}: {e.strerror or e}") from e


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def new_model(chip: str, *, version: str = VERSION) -> Table:
    """A `Model` table without nets, with the time of now."""
    return Table("Model", type=TYPE, version=version, time=time.ctime() + "\n", chip=chip, net=[])


def check_codes(model: Bmodel) -> list[str]:
    """One line for every stage whose coefficients do not have the SHA-256 that the file states."""
    findings = []
    for i, j, _, stage in model.stages():
        coeff = stage.coeff_mem
        if coeff is None or coeff.binary_coeff is None or coeff.encrypt_mode:
            continue
        stored = coeff.check_code or b""
        computed = hashlib.sha256(coeff.binary_coeff.data or b"").digest()
        if stored != computed:
            findings.append(
                f"coeff check_code mismatch: net[{i}] stage[{j}] "
                f"stored {stored[:4].hex() or 'none'} computed {computed[:4].hex()}"
            )
    return findings
