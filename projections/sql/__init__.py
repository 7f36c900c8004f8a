"""SQL in files (house style 15), read by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def read_sql(name: str) -> str:
    """The text of `name`, e.g. `usage/balances.sql`."""
    return (_FOLDER / name).read_text(encoding="utf-8")
