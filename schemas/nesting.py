"""How deep JSON may be nested: a rule of ours, since a parser's is the stack it has left, which differs by caller."""

from __future__ import annotations

import re
from typing import Final

MAX_DEPTH: Final = 256
"""Deepest nesting of arrays and objects."""

_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}]', re.DOTALL)  # possessive: linear on any input


def depth_of(value: bytes) -> int:
    """How deep arrays and objects are nested in JSON text; of other text at least as deep as a parser could get."""
    depth = deepest = 0
    for token in _TOKENS.findall(value):
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest
