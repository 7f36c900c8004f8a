"""Typed errors of the contract: what was wrong, with which value, by which rule.

Leaves to others: where a refused record goes (METER's rejected topic) and how a person is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

VALUE_EXCERPT_CHARACTERS = 200


class QuarterhourError(Exception):
    """Base of every error this project raises on purpose."""


class ConfigurationError(QuarterhourError):
    """A setting, file or address is unusable; the message says what to change."""


@contextmanager
def told_at_start(exit_code: int = 1) -> Iterator[None]:
    """Around a process: a ConfigurationError ends it with the message alone, which is all that helps."""
    try:
        yield
    except ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(exit_code)


@dataclass(eq=False)
class InvalidRecord(QuarterhourError):
    """A record that breaks the contract: bad input as data, not a crash (house style 13).

    `reason` is a stable code (`not_json`, `invalid_field`, `missing_field`, `too_large`, `too_early`,
    `implausible_time`), `field` the dotted path or "" for the whole record, `value` an excerpt of what was
    found (at most 200 characters), `rule` the billing rule or contract clause that refuses it.
    """

    reason: str
    field: str
    value: str
    rule: str
    detail: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{where}{self.detail} (found {self.value!r}; {self.rule})"


def excerpt(value: object) -> str:
    """A short printable form of any value, for error messages; never longer than 200 characters."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= VALUE_EXCERPT_CHARACTERS:
        return text
    return text[: VALUE_EXCERPT_CHARACTERS - 1] + "…"
