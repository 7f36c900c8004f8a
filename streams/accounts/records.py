"""The records of the changelog: small, each with its format's number and a checksum.

`w/<workspace>` is the account as its last fact that was no ordinary charge left it: a snapshot. `l/<workspace>` is what
ordinary charges have made of it since (`lane`). What can be long stands on pages, of which only those touched are
written: `o/<workspace>/<bucket>/<page>` open charges, `g/<workspace>/<page>` grants after the first few,
`c/<workspace>/<page>` command and payment ids, once and for all when a page is full.

Every record begins with the format's number and a checksum over key and content; what does not fit is refused. Leaves
to others: what is in them (`snapshot`, `lane`).
"""

from __future__ import annotations

from zlib import crc32

from schemas.errors import QuarterhourError

FORMAT = 2
"""Raise it whenever the layout of any record changes."""
ACCOUNT, LANE, OPEN, GRANTS, TAKEN = b"w/", b"l/", b"o/", b"g/", b"c/"
_FORMAT_BYTE = bytes((FORMAT,))
_HEAD_BYTES = 5


class CorruptState(QuarterhourError):
    """A state record of another format, or one that is damaged or missing. Going on would change balances."""


def seal_record(key: bytes, body: bytes) -> bytes:
    """A record's content behind its head."""
    return _FORMAT_BYTE + crc32(body, crc32(key)).to_bytes(4, "big") + body


def open_record(key: bytes, value: bytes) -> bytes:
    """A record's content; CorruptState if it is of another format, or damaged."""
    if not value or value[0] != FORMAT:
        found = f"format {value[0]}" if value else "nothing"
        raise CorruptState(
            f"changelog record {key!r} holds {found}, this version reads format {FORMAT}: run the version that wrote "
            "it, or reset accounts.changelog and the group quarterhour-accounts so that the state is made anew from "
            "account.inbox (the ledger's repeats are dropped by their readers)"
        )
    body = value[_HEAD_BYTES:]
    if len(value) < _HEAD_BYTES or int.from_bytes(value[1:_HEAD_BYTES], "big") != crc32(body, crc32(key)):
        raise CorruptState(
            f"changelog record {key!r} is damaged (its checksum does not fit): restore accounts.changelog from a copy, "
            "or reset it and the group quarterhour-accounts so that the state is made anew from account.inbox"
        )
    return body


def account_key(workspace: str) -> bytes:
    """The key of an account's record."""
    return ACCOUNT + workspace.encode()


def lane_key(workspace: str) -> bytes:
    """The key of the record of ordinary charges since."""
    return LANE + workspace.encode()


def charges_key(workspace: str, bucket: int, page: int = 0) -> bytes:
    """The key of a page of open charges."""
    return b"o/%b/%d/%d" % (workspace.encode(), bucket, page)


def page_key(kind: bytes, workspace: str, page: int) -> bytes:
    """The key of a page of grants or of ids."""
    return b"%b%b/%d" % (kind, workspace.encode(), page)


def owner_of(key: bytes) -> tuple[str, int, int]:
    """The workspace of a record's key, its bucket and its page (0 where it has none)."""
    kind, rest = key[:2], key[2:]
    if kind in (ACCOUNT, LANE):
        return rest.decode(), 0, 0
    if kind in (GRANTS, TAKEN):
        name, page = rest.rsplit(b"/", 1)
        return name.decode(), 0, int(page)
    if kind != OPEN:
        raise CorruptState(f"changelog record {key!r} is of no kind this version knows; see its head for the format")
    name, bucket, page = rest.rsplit(b"/", 2)
    return name.decode(), int(bucket), int(page)
