"""Content encodings of the HTTP interface: gzip, deflate, lz4 (frames) and zstd, in both directions, as streams.

Memory stays that of one chunk. Choosing the encoding of an answer follows the client's own order, as ClickHouse's
clients expect. ClickHouse's native block compression (``compress=1``) is not spoken.
"""

from __future__ import annotations

import zlib
from typing import Protocol

import lz4.frame
import zstandard

from projections.embedded.errors import refusal

ENCODINGS = ("gzip", "deflate", "lz4", "zstd")
_GZIP_WINDOW_BITS = 31
_EITHER_WINDOW_BITS = 47
_FASTEST = 1


class Encoder(Protocol):
    """A running compression. Every byte given to `compress` is out after `finish`."""

    def compress(self, data: bytes, /) -> bytes: ...

    def finish(self) -> bytes: ...


class Decoder(Protocol):
    """A running decompression of one body."""

    def decompress(self, data: bytes, /) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def decompress(self, data: bytes, /) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.compressobj(_FASTEST, zlib.DEFLATED, window_bits)

    def compress(self, data: bytes, /) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=_FASTEST).compressobj()

    def compress(self, data: bytes, /) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Lz4:
    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor()
        self._header: bytes = self._stream.begin()

    def compress(self, data: bytes, /) -> bytes:
        header, self._header = self._header, b""
        return header + bytes(self._stream.compress(data))

    def finish(self) -> bytes:
        header, self._header = self._header, b""
        return header + bytes(self._stream.flush())


class _Members:
    """Decompresses a body of one or more members (gzip members, lz4 or zstd frames) laid end to end."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._member = self._new_member()

    def decompress(self, data: bytes, /) -> bytes:
        parts = []
        while data:
            parts.append(bytes(self._member.decompress(data)))
            data = bytes(self._member.unused_data or b"") if self._member.eof else b""
            if self._member.eof:
                self._member = self._new_member()
        return b"".join(parts)

    def _new_member(self) -> _Member:
        if self._encoding == "lz4":
            member: _Member = lz4.frame.LZ4FrameDecompressor()
            return member
        if self._encoding == "zstd":
            return zstandard.ZstdDecompressor().decompressobj()
        return zlib.decompressobj(_EITHER_WINDOW_BITS)


class _Member(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def encoder(encoding: str) -> Encoder:
    """A fresh compression for one of `ENCODINGS`; the empty name passes bytes on unchanged."""
    if encoding == "lz4":
        return _Lz4()
    if encoding == "zstd":
        return _Zstd()
    if encoding == "gzip":
        return _Zlib(_GZIP_WINDOW_BITS)
    if encoding == "deflate":
        return _Zlib(zlib.MAX_WBITS)
    return _Plain()


def decoder(encoding: str) -> Decoder:
    """A fresh decompression for a Content-Encoding header; raises NOT_IMPLEMENTED for one not in `ENCODINGS`."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return _Plain()
    if encoding not in ENCODINGS:
        raise refusal("NOT_IMPLEMENTED", f"Content-Encoding {encoding} is not one of {', '.join(ENCODINGS)}.")
    return _Members(encoding)


def chosen_encoding(accept_encoding: str) -> str:
    """The first encoding of an Accept-Encoding header that is spoken here; empty where there is none."""
    for offer in accept_encoding.lower().split(","):
        name, _, quality = offer.partition(";")
        if name.strip() in ENCODINGS and quality.replace(" ", "") not in ("q=0", "q=0.0"):
            return name.strip()
    return ""
