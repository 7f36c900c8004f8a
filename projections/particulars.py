"""What pages show of a workspace beside account and profile: alerts and mails, payments, settings, an app's charges.

Money is integer micro-dollars (C7), instants UTC. Newest first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql

MOST_ALERTS = 200


@dataclass(frozen=True, slots=True)
class ToldAlert:
    """An alert, the app it is about (empty: the workspace), and the people it is for (A1, A3)."""

    time: datetime
    kind: str
    app: str
    message: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert on its way to somebody: where it stands now."""

    time: datetime
    kind: str
    app: str
    channel: str
    recipient: str
    status: str
    detail: str
    delivery_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One step of a delivery: `planned`, `retrying`, `sent`, `dead` or `unaddressed`; `round` 2 and up: tried again."""

    time: datetime
    status: str
    round: int
    attempts: int
    uncertain: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that was asked for (C10, P8): what it pays for, and `open`, `failed` or `settled`."""

    payment_id: str
    purpose: str
    pays_for: str
    amount_micros: int
    requested: datetime
    due: datetime
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class AutoPayment:
    """C10, as set last."""

    below_micros: int
    amount_micros: int
    method: str
    retries: int
    maximum_per_day: int


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What owners set: auto payment (None: off), and when low balance is told (None: as the catalog says)."""

    auto_payment: AutoPayment | None = None
    alert_amounts_micros: tuple[int, ...] | None = None
    alert_percents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AppCharge:
    """A charge (`sign` 1) or reversal (-1) of an app's unit."""

    start: datetime
    unit_id: str
    unit_kind: str
    channel: str
    sign: int
    price_micros: int
    plan: str
    covered: str


def told_alerts(client: Client, workspace: str, app: str = "") -> list[ToldAlert]:
    """The newest alerts, of one app if it is named."""
    query = """
    SELECT time, kind, app, message, arrayMap(r -> if(r.email = '', r.user, r.email), recipients) FROM alerts
    WHERE workspace = {workspace:String} AND ({app:String} = '' OR app = {app:String})
    ORDER BY time DESC, alert_id LIMIT {most:UInt32}
    """
    rows = client.query(query, parameters={"workspace": workspace, "app": app, "most": MOST_ALERTS}).result_rows
    return [ToldAlert(at, kind, of, said, tuple(people)) for at, kind, of, said, people in rows]


_DELIVERY = "d.time, d.kind, d.app, d.channel, d.recipient, d.status, d.detail, d.delivery_id, d.message_id"


def deliveries(client: Client, workspace: str) -> list[Delivery]:
    """Mails and webhook deliveries."""
    query = f"""
    SELECT {_DELIVERY} FROM deliveries AS d
    WHERE d.workspace = {{workspace:String}} ORDER BY d.time DESC LIMIT {{most:UInt32}}
    """  # noqa: S608 - ours
    rows = client.query(query, parameters={"workspace": workspace, "most": MOST_ALERTS}).result_rows
    return [Delivery(*row) for row in rows]


def delivery(client: Client, workspace: str, delivery_id: str) -> tuple[Delivery, list[DeliveryStep]] | None:
    """One delivery with its steps, the first one first; None if the workspace has none of that id."""
    named = {"workspace": workspace, "id": delivery_id}
    where = "workspace = {workspace:String} AND delivery_id = {id:String}"
    found = client.query(f"SELECT {_DELIVERY} FROM deliveries AS d WHERE {where}", parameters=named).result_rows  # noqa: S608 - ours
    # A step told twice is one: it is named by round, attempts and status.
    query = f"""
    SELECT min(m.time) AS at, m.status, m.round, m.attempts, max(m.uncertain), any(m.detail)
    FROM mails AS m WHERE {where}
    GROUP BY m.round, m.attempts, m.status ORDER BY m.round, m.attempts, m.status != 'planned', at
    """  # noqa: S608 - ours
    steps = [DeliveryStep(*row) for row in client.query(query, parameters=named).result_rows]
    return (Delivery(*found[0]), steps) if found else None


def dead_deliveries(client: Client) -> int:
    """How many mails and webhook deliveries of all workspaces stand given up."""
    count: int = client.query("SELECT count() FROM deliveries WHERE status = 'dead'").first_row[0]
    return count


def payments(client: Client, workspace: str) -> list[Payment]:
    """The newest 50, open and failed ones first."""
    query = """
    SELECT payment_id, purpose, pays_for, amount_micros, requested, due, status, reason FROM payments
    WHERE workspace = {workspace:String} ORDER BY status = 'settled', requested DESC, payment_id LIMIT 50
    """
    return [Payment(*row) for row in client.query(query, parameters={"workspace": workspace}).result_rows]


def account_settings(client: Client, workspace: str) -> AccountSettings:
    """What is set now."""
    query = """
    SELECT change, body FROM ledger_changes
    WHERE workspace = {workspace:String} AND change IN ('auto_payment_set', 'auto_payment_stopped', 'alerts_set')
    ORDER BY sequence, change_index
    """
    auto: AutoPayment | None = None
    amounts: tuple[int, ...] | None = None
    percents: tuple[int, ...] = ()
    for change, text in client.query(query, parameters={"workspace": workspace}).result_rows:
        body = json.loads(text)
        if change == "alerts_set":
            amounts, percents = tuple(body["amounts_micros"]), tuple(body["percents"])
        elif change == "auto_payment_stopped":
            auto = None
        else:
            auto = AutoPayment(
                body["below_micros"], body["amount_micros"], body["method"], body["retries"], body["maximum_per_day"]
            )
    return AccountSettings(auto, amounts, percents)


def app_charges(client: Client, workspace: str, app: str, limit: int = 25) -> list[AppCharge]:
    """The newest charges and reversals of an app."""
    parameters = {"workspace": workspace, "app": app, "limit": limit}
    rows = client.query(read_sql("reading/app_charges.sql"), parameters=parameters).result_rows
    return [AppCharge(*row) for row in rows]
