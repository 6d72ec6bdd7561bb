"""The payload: round trip, versions, damage."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bittrue.containers.payload import TAGS, pack_payload, unpack_payload
from bittrue.errors import BittrueError, DataError, UnsupportedError

SAMPLE = pack_payload({"GRPH": b"g" * 100, "META": b"{}"}, 3)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(TAGS), st.binary(max_size=50)), st.integers(0, 15), st.booleans())
def test_round_trip(sections: dict[str, bytes], flags: int, compress: bool) -> None:
    data = pack_payload(sections, flags, compress=compress)
    assert len(data) % 4 == 0
    back = unpack_payload(data + bytes(8))
    assert (back.sections, back.flags) == (sections, flags)


def test_head() -> None:
    assert struct.unpack_from("<4sHHII", SAMPLE) == (b"BTRU", 1, 0, 3, 1)


def test_unknown_tag_is_skipped() -> None:
    assert unpack_payload(pack_payload({"NEWX": b"abc", "META": b"m"})).sections == {"META": b"m"}


def test_versions() -> None:
    newer = bytearray(SAMPLE)
    newer[6] = 9
    assert unpack_payload(bytes(newer)).version == (1, 9)
    newer[4] = 2
    with pytest.raises(UnsupportedError, match="format"):
        unpack_payload(bytes(newer))


def test_damage() -> None:
    for length in range(64 + 20):
        with pytest.raises(DataError):
            unpack_payload(SAMPLE[:length])
    for position in range(len(SAMPLE)):
        data = bytearray(SAMPLE)
        data[position] ^= 0xFF
        with contextlib.suppress(BittrueError):
            unpack_payload(bytes(data))
    changed = bytearray(SAMPLE)
    changed[70] ^= 1
    with pytest.raises(DataError, match="SHA-256"):
        unpack_payload(bytes(changed))
