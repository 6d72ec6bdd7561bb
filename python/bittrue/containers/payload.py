"""The payload that identifies a compiled net of this project inside `binary_ir` of a .bmodel stage.

A 64-byte head (magic, version, flags, codec, sizes, SHA-256 of the stored body) and a body of tagged sections.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass

from bittrue.errors import DataError, UnsupportedError

MAGIC = b"BTRU"
MAJOR, MINOR = 1, 0
HEAD = struct.Struct("<4sHHIIQQ32s")
SECTION = struct.Struct("<4sIQ")
RAW, ZLIB = 0, 1
TAGS = ("GRPH", "QPAR", "ARCH", "META", "REFS", "SRCE")

FLAG_BATCH_DYNAMIC = 1
FLAG_HW_DYNAMIC = 2
FLAG_DIGESTS = 4
FLAG_FLOAT_LAYERS = 8

MAX_BODY = 1 << 31


@dataclass(frozen=True)
class Payload:
    """Decoded payload. sections: known tag -> bytes; sections with other tags are skipped."""

    sections: dict[str, bytes]
    flags: int = 0
    version: tuple[int, int] = (MAJOR, MINOR)


def is_payload(data: bytes | memoryview | None) -> bool:
    """True when the bytes start like a payload (nothing else is checked)."""
    return data is not None and len(data) >= HEAD.size and bytes(data[:4]) == MAGIC


def pack_payload(sections: dict[str, bytes], flags: int = 0, *, compress: bool = True) -> bytes:
    """Payload bytes, zero-padded to a multiple of 4.

    sections: tag of four ASCII characters -> bytes, written in this order. compress: zlib when that is smaller.
    Raises ValueError for a tag that is not four ASCII characters.
    """
    parts = []
    for tag, data in sections.items():
        if len(tag) != 4 or not tag.isascii():
            raise ValueError(f"section tag {tag!r} is not four ASCII characters")
        parts += [SECTION.pack(tag.encode(), 0, len(data)), data, bytes(-len(data) % 8)]
    body = stored = b"".join(parts)
    codec = RAW
    if compress and len(packed := zlib.compress(body, 6)) < len(body):
        stored, codec = packed, ZLIB
    head = HEAD.pack(MAGIC, MAJOR, MINOR, flags, codec, len(stored), len(body), hashlib.sha256(stored).digest())
    return head + stored + bytes(-len(stored) % 4)


def unpack_payload(data: bytes | memoryview) -> Payload:
    """Reads a payload; bytes after it (padding) are ignored.

    Raises DataError when it is truncated or its SHA-256 differs, UnsupportedError for a newer major version or an
    unknown codec.
    """
    if not is_payload(data):
        raise DataError("no BTRU payload")
    _, major, minor, flags, codec, stored_size, size, digest = HEAD.unpack_from(data)
    if major != MAJOR:
        raise UnsupportedError(f"payload format {major}.{minor}, this version reads {MAJOR}.x")
    if stored_size > len(data) - HEAD.size:
        raise DataError(f"payload is truncated: {len(data) - HEAD.size} of {stored_size} bytes")
    stored = bytes(data[HEAD.size : HEAD.size + stored_size])
    if hashlib.sha256(stored).digest() != digest:
        raise DataError("payload SHA-256 mismatch: the stored graph was changed or damaged")
    return Payload(_sections(_decode(stored, codec, size)), flags, (major, minor))


def _decode(stored: bytes, codec: int, size: int) -> bytes:
    if codec not in (RAW, ZLIB):
        raise UnsupportedError(f"payload codec {codec} is unknown")
    if size > MAX_BODY:
        raise DataError(f"payload body of {size} bytes is too large")
    body = stored
    if codec == ZLIB:
        try:
            body = zlib.decompressobj().decompress(stored, size + 1)
        except zlib.error as e:
            raise DataError(f"payload does not decompress: {e}") from e
    if len(body) != size:
        raise DataError(f"payload body has {len(body)} bytes, its head says {size}")
    return body


def _sections(body: bytes) -> dict[str, bytes]:
    sections: dict[str, bytes] = {}
    pos = 0
    while pos < len(body):
        if pos + SECTION.size > len(body):
            raise DataError("payload section head is truncated")
        raw, _, size = SECTION.unpack_from(body, pos)
        pos += SECTION.size
        if size > len(body) - pos:
            raise DataError(f"payload section {raw!r} is truncated")
        tag = raw.decode("latin-1")
        if tag in sections:
            raise DataError(f"payload section {tag} appears twice")
        if tag in TAGS:
            sections[tag] = body[pos : pos + size]
        pos += size + (-size % 8)
    return sections
