"""An ordinary charge's ledger record as text: the bytes that `schemas.ledger` would make of it, at half the cost.

One unit, paid whole by one grant, and nothing else in the record: nearly all records of a ledger are of this form. A
test holds the two equal, hash included.
"""

from __future__ import annotations

import hashlib

import msgspec

_json = msgspec.json.Encoder().encode


def quoted(text: str) -> str:
    """A string as JSON."""
    return _json(text).decode()


def ordinary_charge(
    workspace: str,
    sequence: int,
    start_us: int,
    origin: str,
    unit_id: str,
    kind: str,
    price_micros: int,
    total_micros: int,
    grant: str,
    remaining_micros: int,
    free_micros: int,
    shared_micros: int,
    apps_micros: int,
    previous_hash: str,
    who: str,
    plan: str,
) -> tuple[bytes, str]:
    """The record as it stands in the topic, and its hash.

    Strings come as JSON; `kind` without its quotes, `origin` as an object, `who` as the members `app` and `channel`.
    `total_micros` and `remaining_micros` are the balances of the usage and grant accounts after the charge.
    """
    head = (
        f'{{"workspace":{workspace},"sequence":{sequence},"kind":"charge","time_us":{start_us},"origin":{origin},'
        f'"cause":{unit_id},"lines":[{{"account":"usage:{kind}","amount_micros":{price_micros},'
        f'"balance_micros":{total_micros}}},{{"account":{grant},"amount_micros":-{price_micros},'
        f'"balance_micros":{remaining_micros}}}],"balances":{{"free_micros":{free_micros},'
        f'"paid_shared_micros":{shared_micros},"paid_apps_micros":{apps_micros},"due_micros":0}},'
        f'"previous_hash":"{previous_hash}"'
    )
    tail = (
        f',"charges":[{{"unit_id":{unit_id},"unit_kind":"{kind}",{who},"start_us":{start_us},'
        f'"price_micros":{price_micros},"plan":{plan}}}]}}'
    )
    digest = hashlib.sha256((head + tail).encode()).hexdigest()
    return f'{head},"hash":"{digest}"{tail}'.encode(), digest
