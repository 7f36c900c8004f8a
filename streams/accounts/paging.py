"""Pages: what grows without bound is written in pieces, so that a change rewrites a piece and not the whole.

A new key stands on the highest page while that has room, else on the next: a function of what is there, so that it
does not depend on restarts (law 2).
"""

from __future__ import annotations

PAGE_ROWS = 15
"""As many as a MessagePack array holds whose length stands in its first byte: a packed page can be added to."""


class Pages:
    """The keys of each page, in the order they came."""

    __slots__ = ("highest", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, None]] = {}
        self.highest = 0

    def add(self, key: str) -> int:
        """Put a new key on a page; its number."""
        page = self.highest
        row = self.rows.get(page)
        if row is not None and len(row) >= PAGE_ROWS:
            page = self.highest = page + 1
            row = None
        if row is None:
            row = self.rows[page] = {}
        row[key] = None
        return page

    def put(self, page: int, key: str) -> None:
        """A key back on its page."""
        self.rows.setdefault(page, {})[key] = None
        self.highest = max(page, self.highest)

    def remove(self, page: int, key: str) -> None:
        """A key is gone."""
        row = self.rows[page]
        del row[key]
        if not row:
            del self.rows[page]
            while self.highest and self.highest not in self.rows:
                self.highest -= 1

    def on(self, page: int) -> dict[str, None]:
        """The keys of a page, none if it is gone."""
        return self.rows.get(page, {})
