"""The schema-driven reader and writer agree for any tree the schema allows."""

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.containers.bmodel_schema import SCALARS, STRUCTS, TABLES
from bittrue.containers.flat import Binary, RelEntry, Table, copy_tree, read_flat, write_flat
from bittrue.errors import DataError

_SCALAR = {
    "u8": st.integers(0, 255),
    "i32": st.integers(-(2**31), 2**31 - 1),
    "u32": st.integers(0, 2**32 - 1),
    "u64": st.integers(0, 2**64 - 1),
    "f32": st.floats(allow_nan=False, width=32),
}
_TEXT = st.text(st.characters(codec="utf-8"), max_size=6)


@st.composite
def tables(draw: st.DrawFn, kind: str = "Model") -> Table:
    def one(element: str) -> object:
        if element in SCALARS:
            return draw(_SCALAR[element])
        if element == "Binary":
            return Binary(draw(_SCALAR["u64"]), draw(_SCALAR["u64"]))
        if element == "RelEntry":
            return RelEntry(*(draw(_SCALAR["u32"]) for _ in range(3)))
        return draw(_TEXT) if element == "string" else draw(tables(element))

    table = Table(kind)
    for field in TABLES[kind]:
        if not (field.required or draw(st.integers(0, 2)) == 0):
            continue
        if field.element == "u8":
            value: object = draw(st.binary(max_size=5))
        elif field.is_vector:
            value = [one(field.element) for _ in range(draw(st.integers(0, 2)))]
        else:
            value = one(field.type)
        setattr(table, field.name, value)
    return table


@settings(deadline=None)
@given(tables())
def test_round_trip(tree: Table) -> None:
    data = write_flat(tree)
    assert len(data) % 8 == 0
    assert read_flat(data) == tree
    assert copy_tree(tree) == tree


def test_every_type_is_known() -> None:
    for fields in TABLES.values():
        for field in fields:
            assert field.element in SCALARS or field.element in STRUCTS or field.element in {*TABLES, "string"}


def test_unknown_ids_are_ignored() -> None:
    builder = flatbuffers.Builder(0)
    texts = [builder.CreateString(t) for t in ("B", "2.2", "now", "BM1684")]
    builder.StartVector(4, 0, 4)
    nets = builder.EndVector()
    builder.StartObject(30)
    for i, offset in enumerate([*texts, nets]):
        builder.PrependUOffsetTRelativeSlot(i, offset, 0)
    builder.PrependUint64Slot(29, 7, 0)
    builder.Finish(builder.EndObject())
    assert read_flat(bytes(builder.Output())).chip == "BM1684"


def test_missing_required_field_is_named() -> None:
    with pytest.raises(DataError, match=r"Model\.type"):
        write_flat(Table("Model"))


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError):
        Table("Shape").dims = [1]
