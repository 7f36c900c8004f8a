"""`quarterhour account simulate FILE.json`: a story of an account through the core, without Kafka or clock.

The format, with an example that runs, is in `streams/accounts/SIMULATE.md`. `simulate` is pure: the same document gives
the same answer. Leaves to others: the rules (ACCOUNTS) and how a person is told of a mistake in the file (`main`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from schemas.catalog import DEFAULT_CATALOG, Catalog, load_catalog, micros_of_usd
from schemas.commands import Command
from schemas.errors import QuarterhourError, excerpt
from schemas.instants import micros_of_text, text_of
from schemas.settings import Settings
from schemas.topics import ALERTS, ENTITLEMENTS, INBOX, INTERACTIONS, LEDGER, PAYMENT_REQUESTS, REJECTED, REPLIES
from schemas.units import Origin, Unit, Watermark
from streams.accounts.activity import is_inactive, is_paid
from streams.accounts.apps import Subscription
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.accounts.renewing import fee_micros, next_term_us
from streams.accounts.standing import assess, balance_status, burning, buttons
from streams.accounts.state import AccountState
from streams.accounts.support import support_at
from streams.doors.accounts.kinds import KINDS, unknown_field
from streams.durable.machine import Output, RawRecord

_TOPICS = {
    LEDGER: "ledger",
    ALERTS: "alerts",
    ENTITLEMENTS: "entitlements",
    PAYMENT_REQUESTS: "payment_requests",
    REJECTED: "rejected",
}
_KINDS = ("command", "unit", "tick", "settlement", "failure")
_LONGEST_LATENESS_SECONDS = 90 * 24 * 3600
_encode = msgspec.json.Encoder().encode


class BadStory(QuarterhourError):
    """The document is not one; the message names the step and what is wrong with it."""


def simulate(document: dict[str, Any]) -> dict[str, Any]:
    """Fold a story's steps; what came out, and how the accounts stand at the end. `BadStory` if it cannot be read."""
    machine = _machine(document)
    answer: dict[str, Any] = {name: [] for name in _TOPICS.values()}
    for number, _, outputs in _folded(document, machine):
        for output in outputs:
            if output.topic in _TOPICS:
                answer[_TOPICS[output.topic]].append({"step": number, **_shown(json.loads(output.value or b"{}"))})
    answer["accounts"] = {name: _account(state, machine) for name, state in sorted(machine.accounts.items())}
    answer["counts"] = dict(sorted(machine.counts.items()))
    return answer


def records(document: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Topic and value of each record that the story's steps are and lead to, in order. Raises `BadStory`."""
    for _, value, outputs in _folded(document, _machine(document)):
        yield INBOX, value
        yield from ((output.topic, output.value or b"") for output in outputs)


def _machine(document: dict[str, Any]) -> AccountsPartition:
    strange = sorted(document.keys() - {"workspace", "allowed_lateness_seconds", "catalog", "steps"})
    if strange or not isinstance(document.get("steps"), list):
        raise BadStory(f"document: {strange[0]} is not known" if strange else "document: steps is no list")
    machine = AccountsPartition(0, policy_of(_catalog(document)))
    machine.restored(None)
    return machine


def _folded(document: dict[str, Any], machine: AccountsPartition) -> Iterator[tuple[int, bytes, list[Output]]]:
    """Each step's number, its record, and what came of it but the reply: whoever waits is told the same."""
    lateness_us = _lateness_us(document)
    workspace = document.get("workspace", "workspace")
    for number, step in enumerate(document["steps"]):
        try:
            value = _encode(_fact(step, number, workspace, lateness_us))
        except (ValueError, TypeError, KeyError) as error:
            raise BadStory(f"step {number}: {_said(error)}") from error
        outputs = machine.step([RawRecord(number, 0, None, value)])
        yield number, value, [output for output in outputs if output.topic != REPLIES]


def main(arguments: list[str], *, as_records: bool = False) -> int:
    """`simulate FILE`: print the answer as JSON, or the mistake on stderr; the exit code.

    `as_records` prints each record instead, as it would stand in its topic: the topic, a blank, the value.
    """
    if len(arguments) != 1:
        print("usage: quarterhour account simulate FILE.json", file=sys.stderr)
        return 2
    try:
        document = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise BadStory("document: it is no JSON object")
        if as_records:
            for topic, value in records(document):
                print(topic, value.decode())
        else:
            print(json.dumps(simulate(document), indent=2))
    except (OSError, ValueError, QuarterhourError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    return 0


def _lateness_us(document: dict[str, Any]) -> int:
    seconds = document.get("allowed_lateness_seconds", Settings().allowed_lateness_seconds)
    if type(seconds) is not int or not 0 <= seconds <= _LONGEST_LATENESS_SECONDS:
        rule = f"a whole number of seconds from 0 to {_LONGEST_LATENESS_SECONDS} (U6)"
        raise BadStory(f"document: allowed_lateness_seconds: {excerpt(seconds)} is not {rule}")
    return seconds * 10**6


def _catalog(document: dict[str, Any]) -> Catalog:
    if not isinstance(document.get("catalog", ""), str):
        raise BadStory(f"document: catalog: {excerpt(document['catalog'])} is no path of a catalog file (P1)")
    return load_catalog(Path(document["catalog"]) if "catalog" in document else DEFAULT_CATALOG)


def _fact(step: Any, number: int, workspace: str, lateness_us: int) -> Command | Unit | Watermark:
    """One step as the record of the inbox it stands for."""
    if not isinstance(step, dict) or sum(kind in step for kind in _KINDS) != 1:
        raise ValueError(f"it must hold exactly one of {', '.join(_KINDS)}")
    kind = next(kind for kind in _KINDS if kind in step)
    at_us = _instant_us("at", step["at"])
    workspace = step.get("workspace", workspace)
    origin = Origin(INTERACTIONS, 0, number, 0)
    if kind == "tick":
        _only(step, "tick", "at")
        return Watermark(origin, 1, at_us, at_us - lateness_us, {})
    if kind == "unit":
        _only(step, "unit", "at", "id", "app", "channel", "user", "change", "billable", "environment", "workspace")
        return _unit(step, origin, workspace, at_us)
    _only(step, kind, "at", "by", "id", "workspace", "payment_id", "reason", *_extra(step, kind))
    role, _, name = step.get("by", "system:simulation" if kind in ("settlement", "failure") else "").partition(":")
    if not role or not name:
        raise ValueError('by: it must be "role:name", e.g. "workspace_owner:olga"')
    record = {
        "type": "command.v1", "command_id": step.get("id", f"step-{number}"), "workspace": workspace,
        "time_us": at_us, "actor": {"role": role, "name": name}, "body": _body(step, kind),
    }  # fmt: skip
    return msgspec.convert(record, Command)


def _extra(step: dict[str, Any], kind: str) -> list[str]:
    return list(step) if kind == "command" else []


def _body(step: dict[str, Any], kind: str) -> dict[str, Any]:
    if kind == "settlement":
        return {"kind": "settle_payment", "payment_id": step["settlement"]}
    if kind == "failure":
        return {"kind": "fail_payment", "payment_id": step["failure"], "reason": step.get("reason", "declined")}
    fields = {name: value for name, value in step.items() if name not in ("command", "at", "by", "id", "workspace")}
    kind, body = step["command"], read_fields(fields)
    strange = unknown_field(kind, body) if kind in KINDS else ""
    if strange:
        raise ValueError(f"{strange} is not known of {kind}")
    return {"kind": kind, **body}


def read_fields(value: Any) -> Any:
    """Fields as the contract spells them: `..._usd` text to micro-dollars, `..._at` RFC 3339 text to microseconds."""
    if not isinstance(value, dict):
        return value
    read: dict[str, Any] = {}
    for name, found in value.items():
        if name.endswith("_usd"):
            read[f"{name[:-4]}_micros"] = _amounts(name, found)
        elif name.endswith("_at"):
            read[f"{name[:-3]}_us"] = _instant_us(name, found)
        else:
            read[name] = read_fields(found)
    return read


def _amounts(name: str, found: Any) -> int | list[int]:
    try:
        return [micros_of_usd(one) for one in found] if isinstance(found, list) else micros_of_usd(found)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _instant_us(name: str, found: Any) -> int:
    try:
        return micros_of_text(found)
    except (ValueError, TypeError):
        raise ValueError(f"{name}: {excerpt(found)} is no instant as RFC 3339 text with a time zone") from None


def _unit(step: dict[str, Any], origin: Origin, workspace: str, at_us: int) -> Unit:
    change, billable = step.get("change", "opened"), step.get("billable", True)
    delta = {"opened": 1, "retracted": -1}.get(change, 0)
    fields = {
        "type": "unit.v1", "origin": msgspec.to_builtins(origin), "unit_id": step["id"], "kind": step["unit"],
        "change": change, "revision": 1, "workspace": workspace, "app": step["app"],
        "channel": step.get("channel", "web"), "user": step.get("user", "user"),
        "environment": step.get("environment", "live"), "start_us": at_us, "billable": billable, "delta": delta,
        "billable_delta": delta if billable else 0,
    }  # fmt: skip
    return msgspec.convert(fields, Unit)


def _only(step: dict[str, Any], *names: str) -> None:
    strange = sorted(step.keys() - set(names))
    if strange:
        raise ValueError(f"{strange[0]} is not known of a {names[0]}")


def _shown(value: Any) -> Any:
    """Micro-dollars as US dollars in text, microseconds as RFC 3339 text; the rest as it is."""
    if isinstance(value, list):
        return [_shown(one) for one in value]
    if not isinstance(value, dict):
        return value
    shown: dict[str, Any] = {}
    for name, found in value.items():
        if name.endswith("_micros"):
            shown[f"{name[:-7]}_usd"] = [usd_text(one) for one in found] if isinstance(found, list) else usd_text(found)
        elif name.endswith("_us") and isinstance(found, int):
            shown[f"{name[:-3]}_at"] = text_of(found) if 0 <= found < 2**54 else None
        else:
            shown[name] = _shown(found)
    return shown


def usd_text(micros: int | None) -> str | None:
    """200000 to `"0.20"`: exact, two decimals at least."""
    if micros is None:
        return None
    whole, rest = divmod(abs(micros), 10**6)
    return f"{'-' if micros < 0 else ''}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def _account(state: AccountState, machine: AccountsPartition) -> dict[str, Any]:
    at_us = max(machine.sources.clock.now_us, state.as_of_us)
    grants = sorted(state.grants.values(), key=lambda grant: grant.account)
    return {
        "sequence": state.sequence,
        "balances": {
            "free_usd": usd_text(state.free_micros), "paid_shared_usd": usd_text(state.paid_shared_micros),
            "paid_apps_usd": usd_text(state.paid_apps_micros), "due_usd": usd_text(state.due_micros),
            "available_usd": usd_text(state.available_micros),
        },
        "status": balance_status(state),
        "burning": _shown(burning(state, at_us)._asdict()),
        "grants": [
            _shown({
                "grant_id": grant.account.removeprefix("grant:"), "credit": grant.credit, "app": grant.app,
                "amount_micros": grant.amount_micros, "remaining_micros": grant.remaining_micros,
                "expires_us": grant.expires_us,
            })
            for grant in grants
        ],
        "apps": {
            name: _shown(assess(state, app, at_us, machine.policy)._asdict())
            | {"owner": app.owner, "published": app.is_published(at_us), "collaborators": dict(app.collaborators)}
            | {"inactive": is_inactive(state, name, at_us), "paid": is_paid(state, name)}
            | {"support_plan": support_at(state, at_us, machine.policy, app)}
            for name, app in sorted(state.apps.items())
        },
        "support_plan": support_at(state, at_us, machine.policy),
        "subscriptions": [
            _subscription(state, held, at_us, machine) for _, held in sorted(state.subscriptions.items())
            if held.is_in_force(at_us)
        ],
        "upgrade_requested_by": state.upgrade_requested,
        "payments": {name: payment.status for name, payment in sorted(state.asked.items())},
        "people": dict(sorted(state.people.items())),
        "emails": dict(sorted(state.emails.items())),
        "products": buttons(state, machine.policy),
    }  # fmt: skip


def _subscription(state: AccountState, held: Subscription, at_us: int, machine: AccountsPartition) -> dict[str, Any]:
    """What is paid for term by term (P8): its fee is that of the next term, or of this one where it ends with it."""
    due_us = next_term_us(held, at_us)
    fee = fee_micros(state, held, at_us if due_us is None else due_us, machine.policy)
    row = {
        "subject": held.subject, "plan": held.plan or "enterprise", "period": held.period, "fee_micros": fee,
        "renewal_due_us": due_us, "until_us": held.until_us,
    }  # fmt: skip
    shown: dict[str, Any] = _shown(row)
    return shown


def _said(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
