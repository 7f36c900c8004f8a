"""API keys: what a secret opens, and that nothing opens again."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from schemas.gateway_keys import ApiKey, decode_key, encode_key
from streams.gateway.keys import Keys, issue, revoke


def keys_of(*records: tuple[str, bytes | None]) -> Keys:
    keys = Keys()
    for offset, (key, value) in enumerate(records):
        keys.apply(key.encode(), value, 0, offset)
    return keys


def test_a_key_opens_its_workspace_and_only_its_hash_is_kept() -> None:
    issued = issue("acme", "web gateway", "owner@acme", 7)
    secret = issued.text.removeprefix(f"qh_{issued.key.key_id}_")
    value = encode_key(issued.key)
    assert secret.encode() not in value
    assert issued.key.secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()
    assert keys_of((issued.key.key_id, value)).workspace_of(issued.text) == "acme"
    assert decode_key(value) == issued.key


def test_two_keys_are_never_alike_and_do_not_open_each_others_workspace() -> None:
    ours, theirs = issue("ours", "", "o", 1), issue("theirs", "", "o", 1)
    keys = keys_of(*((one.key.key_id, encode_key(one.key)) for one in (ours, theirs)))
    assert (keys.workspace_of(ours.text), keys.workspace_of(theirs.text)) == ("ours", "theirs")
    mixed = f"qh_{ours.key.key_id}_{theirs.text.rsplit(theirs.key.key_id + '_')[1]}"
    assert keys.workspace_of(mixed) is None


@pytest.mark.parametrize("text", ["", "qh_", "qh__", "qh_0123456789abcdef_" + "A" * 43, "qh_é", "x" * 10_000])
def test_other_texts_open_nothing(text: str) -> None:
    issued = issue("acme", "", "o", 1)
    keys = keys_of((issued.key.key_id, encode_key(issued.key)))
    assert keys.workspace_of(text) is None
    assert keys.workspace_of(issued.text[:-1]) is None
    assert keys.workspace_of(issued.text + "\n") is None


def test_a_revoked_key_stays_revoked_whatever_stale_record_follows() -> None:
    issued = issue("acme", "", "o", 1)
    revoked = revoke(issued.key, "ann", 9)
    assert (revoked.revoked_us, revoked.revoked_by) == (9, "ann")
    assert revoke(revoked, "bob", 10) == revoked
    name = issued.key.key_id
    keys = keys_of((name, encode_key(issued.key)), (name, encode_key(revoked)), (name, encode_key(issued.key)))
    assert keys.workspace_of(issued.text) is None


def test_a_tombstone_removes_a_key_and_what_is_no_key_is_counted() -> None:
    issued = issue("acme", "", "o", 1)
    keys = keys_of(
        (issued.key.key_id, encode_key(issued.key)), ("x", b"{}"), ("y", b"\xff"), ("z", b'{"key_id":"\xff"}')
    )
    assert (keys.unreadable, keys.workspace_of(issued.text)) == (3, "acme")
    keys.apply(issued.key.key_id.encode(), None, 0, 9)
    assert keys.workspace_of(issued.text) is None


@pytest.mark.parametrize(
    ("workspace", "label", "by"), [("", "", "o"), ("w" * 65, "", "o"), ("w", "l" * 257, "o"), ("w", "", "")]
)
def test_a_key_that_breaks_the_schema_is_not_made(workspace: str, label: str, by: str) -> None:
    with pytest.raises(ValueError, match="length"):
        issue(workspace, label, by, 1)


def test_the_schema_bounds_ids_and_hashes() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_key(encode_key(ApiKey("short", "w", "0" * 64, "", "o", 1)))
