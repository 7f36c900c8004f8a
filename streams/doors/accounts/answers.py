"""What a command led to, as an HTTP answer."""

from __future__ import annotations

import re
from typing import Any, Literal

from msgspec import Struct
from starlette.responses import Response

from schemas.commands import Command, CommandBody
from schemas.errors import excerpt
from schemas.ledger import Balances, LedgerRecord
from schemas.replies import outcome_of
from streams.doors.accounts.problems import answer

STATUS_PATH = "/v1/workspaces/{workspace}/answers/{command_id}"
_SENTENCE = re.compile(r"^(?P<field>[A-Za-z_.]+): .*?(?: \((?P<rule>[^()]*)\)\.?)?$", re.DOTALL)


class Accepted(Struct, frozen=True, kw_only=True):
    """The command was obeyed. `repeated`: it had been given before, and this is what it led to then.

    `record` is its ledger record, `balances` those after it.
    """

    command_id: str
    workspace: str
    outcome: Literal["accepted"] = "accepted"
    repeated: bool
    sequence: int
    balances: Balances
    record: LedgerRecord


class NotObeyed(Struct, frozen=True, kw_only=True):
    """The command was refused, and changed nothing. `error` is the ledger record's sentence: field, value, rule."""

    command_id: str
    workspace: str
    outcome: Literal["refused", "conflict"]
    repeated: bool
    sequence: int
    error: str
    field: str
    value: str
    rule: str
    record: LedgerRecord


class Pending(Struct, frozen=True, kw_only=True):
    """The command was taken and is not confirmed yet. Ask at `ask`, or give it again under the same key."""

    command_id: str
    workspace: str
    outcome: Literal["pending"] = "pending"
    message: str
    ask: str


def answered(record: LedgerRecord, *, repeated: bool, body: CommandBody | None = None, status: int = 0) -> Response:
    """The answer that a ledger record is: 200, 403 (not this person), 409 (other content) or 422 (refused).

    `body` is what was asked, to tell the refused value; `status` overrides.
    """
    outcome = outcome_of(record)
    if outcome == "accepted":
        done = Accepted(
            command_id=record.cause, workspace=record.workspace, repeated=repeated, sequence=record.sequence,
            balances=record.balances, record=record,
        )  # fmt: skip
        return answer(done, status or 200)
    field, rule = field_and_rule(record.note)
    refused = NotObeyed(
        command_id=record.cause, workspace=record.workspace, outcome=outcome, repeated=repeated,
        sequence=record.sequence, error=record.note, field=field, value=_value(record, body, field), rule=rule,
        record=record,
    )  # fmt: skip
    code = 409 if outcome == "conflict" else 403 if field.startswith("actor.") else 422
    return answer(refused, status or code)


def pending(command_id: str, workspace: str) -> Response:
    """202."""
    ask = STATUS_PATH.format(workspace=workspace, command_id=command_id)
    words = (
        "Accepted, not yet confirmed. Ask again at `ask`, or give the same command under the same key: it counts once."
    )
    content = Pending(command_id=command_id, workspace=workspace, message=words, ask=ask)
    return answer(content, 202, {"Location": ask, "Retry-After": "1"})


def pending_of(command: Command) -> Response:
    """202 for a command."""
    return pending(command.command_id, command.workspace)


def field_and_rule(note: str) -> tuple[str, str]:
    """The field and the rule that a refusal's sentence names."""
    found = _SENTENCE.match(note)
    return (found["field"], found["rule"] or "") if found else ("", "")


def _value(record: LedgerRecord, body: CommandBody | None, field: str) -> str:
    """The refused value, as far as it is known here."""
    role, _, name = (record.actor or "").partition(":")
    given = {"workspace": record.workspace, "command_id": record.cause, "actor.role": role, "actor.name": name}
    if field in given:
        return excerpt(given[field])
    value: Any = body
    for part in field.split("."):
        value = getattr(value, part, None)
    return "" if value is None else excerpt(value)
