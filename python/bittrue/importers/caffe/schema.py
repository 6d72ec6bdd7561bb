"""Caffe's protobuf messages from schema.yaml, through protobuf's message factory: no generated code, no protoc.

The pool is our own, so other packages that carry a caffe.proto do not collide with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "bittrue.caffe"
FIRST_TEXT_NUMBER = 20000  # above protobuf's reserved range 19000-19999
Field = descriptor_pb2.FieldDescriptorProto


def _add_enum(message: descriptor_pb2.DescriptorProto, name: str, values: Sequence[str] | Mapping[str, int]) -> None:
    if any(e.name == name for e in message.enum_type):
        return
    numbers = values if isinstance(values, Mapping) else {v: i for i, v in enumerate(values)}
    enum = message.enum_type.add(name=name)
    for value, number in numbers.items():
        enum.value.add(name=value, number=number)


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, text: str, enums: Mapping[str, Any]) -> None:
    declaration, _, default = text.partition(" = ")
    number, kind, *options = declaration.split()
    field = message.field.add(name=name)
    taken = [f.number for f in message.field if f.number >= FIRST_TEXT_NUMBER]
    field.number = max(taken, default=FIRST_TEXT_NUMBER - 1) + 1 if number == "text" else int(number)
    field.label = Field.LABEL_REPEATED if kind.endswith("*") else Field.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in enums:
        # A copy in every message that uses it: enum values of one scope must not share names.
        _add_enum(message, kind, enums[kind])
        field.type, field.type_name = Field.TYPE_ENUM, f".{PACKAGE}.{message.name}.{kind}"
    elif kind[0].isupper():
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = Field.Type.Value(f"TYPE_{kind.upper()}")
    if default:
        field.default_value = default
    field.options.packed = "packed" in options


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    table = yaml.safe_load(Path(__file__).with_name("schema.yaml").read_text())
    file = descriptor_pb2.FileDescriptorProto(name="bittrue/caffe.proto", package=PACKAGE, syntax="proto2")
    for name, fields in table["messages"].items():
        message = file.message_type.add(name=name)
        for field, text in fields.items():
            _add_field(message, field, text, table["enums"])
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


def new_message(name: str) -> Any:
    """An empty message, for instance `NetParameter` or `Datum`. Raises KeyError for a name the schema does not have."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))()
