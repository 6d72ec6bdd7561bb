"""Checked reader and writer of FlatBuffers for the tables of `bmodel_schema`.

The reader verifies before it uses: every offset, table, vector and string is bounds-checked, nesting and the total
number of tables are limited, required fields must be present. Unknown field ids are ignored.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers

from bittrue.containers.bmodel_schema import FIELDS, ROOT, SCALARS, STRUCTS, TABLES, Field
from bittrue.errors import DataError

MAX_DEPTH = 32
MAX_VALUES = 4_000_000


class Table:
    """One FlatBuffer table: fields as attributes.

    Scalars are int or float (default when absent), strings are str, vectors are lists, tables and structs are objects;
    absent strings, vectors, tables and structs are None. Vectors of u8 are bytes. Unknown names raise AttributeError.
    """

    __slots__ = ("kind", "values")
    kind: str
    values: dict[str, Any]

    def __init__(self, kind: str, **values: Any) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "values", {})
        for name, value in values.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        field = FIELDS[self.kind].get(name)
        if field is None:
            raise AttributeError(f"table {self.kind} has no field {name}")
        if name in self.values:
            return self.values[name]
        return field.default if field.type in SCALARS else None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in FIELDS[self.kind]:
            raise AttributeError(f"table {self.kind} has no field {name}")
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table) or other.kind != self.kind:
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in TABLES[self.kind])

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.values.items())})"


@dataclass(frozen=True)
class RelEntry:
    """Relocation entry of newer files."""

    base_addr_id: int
    addr_offset: int
    cmd_offset: int


class Binary:
    """A blob: where it was stored, [start, start+size) of the binary section, and its bytes once attached.

    Blobs with bytes are equal when the bytes are; without, when start and size are.
    """

    __slots__ = ("data", "size", "start")

    def __init__(self, start: int, size: int, data: bytes | memoryview | None = None) -> None:
        self.start, self.size, self.data = start, size, data

    @classmethod
    def of(cls, data: bytes) -> Binary:
        """A new blob that the writer will place."""
        return cls(0, len(data), data)

    def __bytes__(self) -> bytes:
        return bytes(self.data) if self.data is not None else b""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Binary):
            return NotImplemented
        if self.data is None or other.data is None:
            return (self.start, self.size) == (other.start, other.size)
        return self.data == other.data

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Binary({self.start}, {self.size})"


Place = Callable[[Binary], tuple[int, int]]
_STRUCT_TYPES: dict[str, type] = {"Binary": Binary, "RelEntry": RelEntry}


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.left = MAX_VALUES

    def unpack(self, fmt: str, pos: int) -> Any:
        size = struct.calcsize(fmt)
        if pos < 0 or pos + size > len(self.data):
            raise DataError(f"offset {pos} outside the FlatBuffer")
        if (pos % min(size, 8)) and fmt in ("<I", "<i", "<H", "<f", "<Q"):
            raise DataError(f"offset {pos} is not aligned to {size}")
        values = struct.unpack_from(fmt, self.data, pos)
        return values[0] if len(values) == 1 else values

    def follow(self, pos: int) -> int:
        offset = self.unpack("<I", pos)
        if offset == 0 or pos + offset >= len(self.data):
            raise DataError(f"bad reference at {pos}")
        return int(pos + offset)

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise DataError("too many values")

    def vector(self, pos: int, item: int) -> tuple[int, int]:
        count = self.unpack("<I", pos)
        if count * item > len(self.data) - pos - 4:
            raise DataError(f"vector at {pos} is longer than the FlatBuffer")
        return pos + 4, count

    def string(self, pos: int) -> str:
        start, count = self.vector(pos, 1)
        self.spend(1 + count // 16)
        if start + count >= len(self.data) or self.data[start + count] != 0:
            raise DataError(f"string at {pos} is not terminated")
        return self.data[start : start + count].decode("utf-8", "backslashreplace")

    def struct(self, kind: str, pos: int) -> Any:
        fmt, _, align, _ = STRUCTS[kind]
        if pos % align:
            raise DataError(f"offset {pos} is not aligned to {align}")
        return _STRUCT_TYPES[kind](*self.unpack(fmt, pos))

    def table(self, kind: str, pos: int, depth: int) -> Table:
        if depth > MAX_DEPTH:
            raise DataError("tables are nested too deeply")
        self.spend(1)
        vtable = pos - self.unpack("<i", pos)
        vsize, tsize = self.unpack("<H", vtable), self.unpack("<H", vtable + 2)
        if vsize < 4 or vsize % 2 or vtable + vsize > len(self.data) or tsize < 4 or pos + tsize > len(self.data):
            raise DataError(f"bad table {kind} at {pos}")
        result = Table(kind)
        for field in TABLES[kind]:
            slot = 4 + 2 * field.id
            offset = self.unpack("<H", vtable + slot) if slot < vsize else 0
            if offset == 0:
                if field.required:
                    raise DataError(f"required field {kind}.{field.name} is missing")
                continue
            if offset + _inline_size(field) > tsize:
                raise DataError(f"field {kind}.{field.name} lies outside its table")
            setattr(result, field.name, self.value(field, pos + offset, depth))
        return result

    def value(self, field: Field, pos: int, depth: int) -> Any:
        if field.is_vector:
            return self.elements(field.element, self.follow(pos), depth)
        if field.type in SCALARS:
            return self.unpack(SCALARS[field.type][0], pos)
        if field.type in STRUCTS:
            return self.struct(field.type, pos)
        if field.type == "string":
            return self.string(self.follow(pos))
        return self.table(field.type, self.follow(pos), depth + 1)

    def elements(self, kind: str, pos: int, depth: int) -> Any:
        if kind == "u8":
            start, count = self.vector(pos, 1)
            self.spend(1 + count // 16)
            return self.data[start : start + count]
        if kind in SCALARS:
            fmt, size = SCALARS[kind]
            start, count = self.vector(pos, size)
            self.spend(count)
            return [self.unpack(fmt, start + size * i) for i in range(count)]
        if kind in STRUCTS:
            size = STRUCTS[kind][1]
            start, count = self.vector(pos, size)
            self.spend(count)
            return [self.struct(kind, start + size * i) for i in range(count)]
        start, count = self.vector(pos, 4)
        return [self.table(kind, self.follow(start + 4 * i), depth + 1) for i in range(count)]


def _inline_size(field: Field) -> int:
    if field.is_vector:
        return 4
    if field.type in SCALARS:
        return SCALARS[field.type][1]
    return STRUCTS[field.type][1] if field.type in STRUCTS else 4


def read_flat(data: bytes) -> Table:
    """Reads a FlatBuffer whose root is `Model` into a tree of `Table`; Binary fields carry no bytes yet.

    Raises DataError with a description of the first defect.
    """
    reader = _Reader(data)
    return reader.table(ROOT, reader.follow(0), 0)


_PREPEND = {"u8": "Uint8", "i32": "Int32", "u32": "Uint32", "u64": "Uint64", "f32": "Float32"}


class _Writer:
    def __init__(self, place: Place) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.place = place

    def finish(self, root: Table) -> bytes:
        self.builder.Finish(self.table(root))
        return bytes(self.builder.Output())

    def store(self, kind: str, value: Any) -> int:
        """Writes a string or table and returns its offset."""
        if kind == "string":
            return int(self.builder.CreateString(value.encode("utf-8")))
        return self.table(value)

    def struct(self, kind: str, value: Any) -> int:
        _, size, align, members = STRUCTS[kind]
        numbers = self.place(value) if kind == "Binary" else [getattr(value, name) for name, _ in members]
        self.builder.Prep(align, size)
        for (_, scalar), number in zip(reversed(members), reversed(numbers), strict=True):
            getattr(self.builder, f"Prepend{_PREPEND[scalar]}")(number)
        return int(self.builder.Offset())

    def vector(self, kind: str, values: Any) -> int:
        if kind == "u8":
            return int(self.builder.CreateByteVector(bytes(values)))
        if kind in SCALARS:
            size = align = SCALARS[kind][1]
        elif kind in STRUCTS:
            _, size, align, _ = STRUCTS[kind]
        else:
            size = align = 4
            values = [self.store(kind, v) for v in values]
        self.builder.StartVector(size, len(values), align)
        for value in reversed(values):
            if kind in STRUCTS:
                self.struct(kind, value)
            else:
                getattr(self.builder, f"Prepend{_PREPEND.get(kind, 'UOffsetTRelative')}")(value)
        return int(self.builder.EndVector())

    def table(self, table: Table) -> int:
        fields = TABLES[table.kind]
        offsets: dict[int, int] = {}
        for field in fields:
            value = getattr(table, field.name)
            if value is None:
                if field.required:
                    raise DataError(f"required field {table.kind}.{field.name} is missing")
            elif field.is_vector:
                offsets[field.id] = self.vector(field.element, value)
            elif field.type not in SCALARS and field.type not in STRUCTS:
                offsets[field.id] = self.store(field.type, value)
        self.builder.StartObject(len(fields))
        for field in fields:
            value = getattr(table, field.name)
            if field.id in offsets:
                self.builder.PrependUOffsetTRelativeSlot(field.id, offsets[field.id], 0)
            elif field.type in SCALARS:
                getattr(self.builder, f"Prepend{_PREPEND[field.type]}Slot")(field.id, value, field.default)
            elif value is not None:
                self.builder.PrependStructSlot(field.id, self.struct(field.type, value), 0)
        return int(self.builder.EndObject())


def write_flat(root: Table, place: Place = lambda b: (b.start, b.size)) -> bytes:
    """FlatBuffer bytes of a `Model` tree, zero-padded to a multiple of 8.

    place: gives (start, size) of each Binary, called in storage order.
    """
    data = _Writer(place).finish(root)
    return data + bytes(-len(data) % 8)


def binaries(table: Table, path: str = "") -> Iterator[tuple[str, Binary]]:
    """(field path, Binary) of every blob below a table, in field order."""
    for field in TABLES[table.kind]:
        value = table.values.get(field.name)
        here = f"{path}.{field.name}" if path else field.name
        named = [(f"{here}[{i}]", v) for i, v in enumerate(value)] if isinstance(value, list) else [(here, value)]
        for name, item in named:
            if isinstance(item, Binary):
                yield name, item
            elif isinstance(item, Table):
                yield from binaries(item, name)


def copy_tree(table: Table) -> Table:
    """A copy whose tables can be changed without touching the original; blobs are shared."""
    copies: dict[str, Any] = {}
    for name, value in table.values.items():
        if isinstance(value, Table):
            value = copy_tree(value)
        elif isinstance(value, list):
            value = [copy_tree(v) if isinstance(v, Table) else v for v in value]
        copies[name] = value
    return Table(table.kind, **copies)
