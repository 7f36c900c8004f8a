"""How columns are written to ClickHouse where clickhouse-connect's own way costs the most: whole numbers and names.

A column type here stands for one of clickhouse-connect's, writes the same bytes (a test compares them), and leaves all
other values to it. Whole numbers come packed, as `blocks` checked them.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any

from clickhouse_connect.datatypes.registry import get_from_name

_EIGHT_BYTES = ("Int64", "UInt64", "DateTime64")
_NAMES = "LowCardinality(String)"
_MOST_NAMES = 255
# Version 1; then the flags of "additional keys" and "a new dictionary", and indexes of one byte.
_NAMES_HEAD = (1).to_bytes(8, "little") + (1 << 9 | 1 << 10).to_bytes(8, "little")


def column_type(name: str) -> Any:
    """The column type of that ClickHouse type, as clickhouse-connect takes it in an insert."""
    known = get_from_name(name)
    if name == _NAMES:
        return _Names(known)
    is_packed = name.startswith(_EIGHT_BYTES) and sys.byteorder == "little"
    return _Packed(known) if is_packed else known


class _InPlaceOf:
    """A column type that passes for the one of clickhouse-connect that it leaves all other values to."""

    def __init__(self, known: Any) -> None:
        self._known = known
        self.name, self.insert_name = known.name, known.insert_name


class _Packed(_InPlaceOf):
    """Numbers of eight bytes: what is packed already is what goes over the wire."""

    byte_size = 8

    def write_column(self, column: Sequence[Any], dest: bytearray, context: Any) -> None:
        """See clickhouse-connect."""
        if isinstance(column, array) and column.typecode == "q":
            dest += column.tobytes()
        else:
            self._known.write_column(column, dest, context)


class _Names(_InPlaceOf):
    """Few distinct strings."""

    byte_size = 1

    def write_column(self, column: Sequence[Any], dest: bytearray, context: Any) -> None:
        """See clickhouse-connect."""
        index = dict.fromkeys(column, 0)
        if len(index) > _MOST_NAMES:
            self._known.write_column(column, dest, context)
            return
        for place, name in enumerate(index):
            index[name] = place
        dest += _NAMES_HEAD + len(index).to_bytes(8, "little")
        for name in index:
            _write_text(name, dest)
        dest += len(column).to_bytes(8, "little")
        dest += bytes(len(column)) if len(index) == 1 else bytes(map(index.__getitem__, column))


def _write_text(text: str, dest: bytearray) -> None:
    encoded = text.encode()
    left = len(encoded)
    while left > 0x7F:
        dest.append(left & 0x7F | 0x80)
        left >>= 7
    dest.append(left)
    dest += encoded
