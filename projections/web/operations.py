"""The query API as data: each operation's path, words, parameters and answer. Routes and the OpenAPI document are both
made from this list, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from projections import account, explain
from projections.balance import BalanceAsOf, balance_as_of
from projections.membership import Need, workspaces_of
from projections.profile import Profile, as_published, profile
from projections.statement import Statement, statement
from projections.trends import TrendPoint, trend
from projections.web.asked import balance_asked, ledger_asked, period_asked, sequence_of, terms_asked, trend_asked
from projections.web.exports import FORMATS, WHAT, export
from projections.web.rendering import STATEMENT, Rendering, csv_of
from projections.what_if import WhatIf, what_if
from schemas.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Call:
    """A request, taken apart: a client, the catalog, path and query parameters, and the time."""

    client: Client
    catalog: Catalog
    path: Mapping[str, str]
    query: Mapping[str, str]
    now: datetime
    person: str = ""
    """Only what this person is part of; empty for an operator."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter for the document."""

    name: str
    words: str
    schema: Mapping[str, Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """A GET: `answer` is the type of the JSON, `run` gives it, or None for 404; `formats`: how else it can be had.

    `streams`: the media types of an `Export`, which `run` then gives instead of JSON. `need`: who may have it; for an
    app's figures, `app_of` says whose they turned out to be.
    """

    path: str
    name: str
    words: str
    answer: Any
    run: Callable[[Call], Any]
    parameters: tuple[Parameter, ...] = ()
    formats: Mapping[str, Rendering] = field(default_factory=dict)
    streams: tuple[str, ...] = ()
    need: Need = Need.WHOLE
    app_of: Callable[[Any], str] | None = None


_TEXT: Mapping[str, Any] = {"type": "string"}
_DAY: Mapping[str, Any] = {"type": "string", "format": "date"}
_FORMAT = Parameter("format", "`csv` for a table; JSON else", {"type": "string", "enum": ["json", "csv"]})
_PERIOD = (
    Parameter("first", "first day; with `last`, at most 365 days (T3)", _DAY),
    Parameter("last", "last day, included", _DAY),
    Parameter("months", "whole months before this one (T3); default 1", {"type": "integer", "enum": [1, 2, 3]}),
    Parameter("zone", "IANA name of the reader's time zone", {"type": "string", "default": "UTC"}),
)
_AMOUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_TREND = (
    Parameter("grain", "length of the periods", {"type": "string", "enum": ["day", "week", "month"], "default": "day"}),
    Parameter("first", "first day of a custom range: at most 90 days by day (T2), 365 by week or month (T3, T4)", _DAY),
    Parameter("last", "last day of a custom range, included", _DAY),
    Parameter("months", "whole months before this one (T3), by month only", {"type": "integer", "enum": [1, 2, 3]}),
    Parameter("zone", "IANA name of the reader's time zone", {"type": "string", "default": "UTC"}),
    Parameter("by", "split by `app`, `unit`, `channel`: a list with commas (T1)", _TEXT),
    Parameter("app", "this app only", _TEXT),
    Parameter("unit", "this kind of unit only", _TEXT),
    Parameter("channel", "this channel only", _TEXT),
    _FORMAT,
)


def _workspaces(call: Call) -> Any:
    """All for an operator, else those whose figures are open to the person (W2)."""
    found = account.workspaces(call.client)
    if not call.person:
        return found
    own = {name for name, role in workspaces_of(call.client, call.person).items() if role == "owner"}
    return [line for line in found if line.workspace in own]


def _account(call: Call) -> Any:
    view, told = account.account_view(call.client, call.path["workspace"], call.catalog), _profile(call)
    return as_published(view, told) if view and told else None


def _profile(call: Call) -> Any:
    return profile(call.client, call.path["workspace"], call.catalog)


def _trend(call: Call) -> Any:
    asked = trend_asked(call.query, call.now)
    return trend(call.client, call.path["workspace"], asked.days, asked.grain, asked.by, asked.only)


def _statement(call: Call) -> Any:
    return statement(call.client, call.path["workspace"], period_asked(call.query, call.now))


def _what_if(call: Call) -> Any:
    days = period_asked(call.query, call.now)
    return what_if(call.client, call.path["workspace"], days, terms_asked(call.query, call.catalog, days))


def _export(call: Call) -> Any:
    return export(call.client, call.path["workspace"], call.path["what"], call.query, call.now)


def _balance(call: Call) -> Any:
    return balance_as_of(call.client, call.path["workspace"], *balance_asked(call.query, call.now))


def _ledger(call: Call) -> Any:
    return account.ledger(call.client, call.path["workspace"], *ledger_asked(call.query))


def _entry(call: Call) -> Any:
    return explain.explain_entry(call.client, call.path["workspace"], sequence_of(call.path["sequence"]))


def _unit(call: Call) -> Any:
    return explain.explain_unit(call.client, call.path["unit_id"], call.path["workspace"])


def _event(call: Call) -> Any:
    query = call.query
    return explain.explain_event(call.client, query.get("id", ""), call.path["workspace"], query.get("source", ""))


_ONE = "/api/workspaces/{workspace}"
OPERATIONS = (
    Operation(
        "/api/workspaces", "workspaces", "All workspaces with balances and what they owe",
        list[account.WorkspaceLine], _workspaces, (_FORMAT,),
        formats={"csv": csv_of(account.WorkspaceLine)}, need=Need.SIGNED_IN,
    ),
    Operation(_ONE, "account", "The account view (T5)", account.AccountView, _account),
    Operation(
        f"{_ONE}/profile", "profile", "What a workspace is beside its credit: plans, people, licences (T5)", Profile,
        _profile,
    ),
    Operation(
        f"{_ONE}/trend", "trend", "Billed units by period, paid from free or paid credit (T1-T4)", list[TrendPoint],
        _trend, _TREND, formats={"csv": csv_of(TrendPoint)}, need=Need.APP,
    ),
    Operation(
        f"{_ONE}/statement", "statement", "The statement of a period: balances, charges, ledger records (C3-C8, L2)",
        Statement, _statement,
        (
            *_PERIOD,
            Parameter("format", "`pdf` to hand out, `csv`; JSON else", {"enum": ["json", "csv", "pdf"]}),
        ), formats=STATEMENT,
    ),
    Operation(
        f"{_ONE}/what-if", "what_if", "What a period's units would have cost on another plan (U10)", WhatIf, _what_if,
        (
            Parameter("plan", "the other plan's id in the catalog", _TEXT, required=True), *_PERIOD,
            Parameter("period", "how its subscription is paid (P4)", {"type": "string", "enum": ["monthly", "yearly"]}),
            Parameter("price_micros", "a contract's price of a session (P3)", _AMOUNT),
            Parameter("included", "a contract's included sessions in the period", _AMOUNT),
            Parameter("fee_micros", "a contract's fee in the period", _AMOUNT),
        ),
    ),
    Operation(
        f"{_ONE}/exports/{{what}}", "export", "A view's rows as a file, streamed: " + ", ".join(WHAT), None, _export,
        (
            Parameter("format", "default `parquet`", {"type": "string", "enum": list(FORMATS)}), *_TREND[:5],
        ), streams=tuple(media for _, media in FORMATS.values()),
    ),
    Operation(
        f"{_ONE}/balance", "balance", "The balance as of any instant (L4)", BalanceAsOf, _balance,
        (
            Parameter("at", "RFC 3339 with an offset; default now", {"type": "string", "format": "date-time"}),
            Parameter("basis", "what counts by then: effects, or ledger records", {"enum": ["effect", "record"]}),
        ),
    ),
    Operation(
        f"{_ONE}/ledger", "ledger", "Ledger records, newest first", list[account.LedgerEntry], _ledger,
        (
            Parameter("before", "only records below this number", {"type": "integer"}),
            Parameter("limit", "how many", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 25}),
            _FORMAT,
        ), formats={"csv": csv_of(account.LedgerEntry)},
    ),
    Operation(
        f"{_ONE}/ledger/{{sequence}}", "explain_entry", "From a ledger record to its events (L7)",
        explain.EntryExplained, _entry,
    ),
    Operation(
        f"{_ONE}/units/{{unit_id}}", "explain_unit", "From a unit to its events and charges (L7)",
        explain.UnitExplained, _unit, need=Need.PART, app_of=lambda found: str(found.unit.app),
    ),
    Operation(
        f"{_ONE}/events", "explain_event", "From an event to its charge, or to why there is none (L7)",
        list[explain.EventExplained], _event,
        (Parameter("id", "the event's id", _TEXT), Parameter("source", "its source; empty for any", _TEXT)),
    ),
    Operation(
        "/api/freshness", "freshness", "How fresh the figures are (T6)", account.Freshness,
        lambda call: account.freshness(call.client), need=Need.SIGNED_IN,
    ),
)  # fmt: skip
