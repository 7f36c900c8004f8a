"""What the account view is made of (T5): one answer of ClickHouse in rows of several kinds, put together here.

One question of seven parts instead of seven questions, and no joins: planning a query and its way there cost several
milliseconds, reading these rows less than one. The pieces are pure functions of the rows. Money in micro-dollars (C7).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from projections.sql import read_sql

Row = tuple[str, str, str, str, Sequence[int]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_SECONDS = 900
_USED, _GIVEN, _LAPSED = ("charged", "returned", "settled"), "issued", "lapsed"


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant: given, used (net of what came back), lapsed, remaining; `app` is empty for shared credit."""

    grant_id: str
    credit: str
    app: str
    granted: datetime
    expires: datetime | None
    given_micros: int
    used_micros: int
    lapsed_micros: int
    moved_micros: int
    remaining_micros: int


@dataclass(frozen=True, slots=True)
class AppView:
    """An app: net live units, billed units, their cost; `inactive` by E4, `paid` if paid credit was used or mapped.

    `last_billed` is None where no unit was billed in the last 30 days.
    """

    paid: bool
    inactive: bool
    app: str
    conversations: int
    sessions: int
    notifications: int
    billed_units: int
    charged_micros: int
    credit_micros: int
    due_micros: int
    last_billed: datetime | None


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert as the owner was told (A1)."""

    alert_id: str
    kind: str
    time: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What went into (or out of) an account by one cause, for one app: net billed units, and micro-dollars."""

    account: str
    app: str
    what: str
    units: int
    micros: int


@dataclass(slots=True)
class AccountParts:
    """One workspace's rows, by kind, and what the account view makes of them."""

    created: datetime
    records: int
    free_micros: int
    paid_shared_micros: int
    paid_apps_micros: int
    due_micros: int
    late_events: int = 0
    _flows: list[Flow] = field(default_factory=list)
    _grants: list[Row] = field(default_factory=list)
    _units: list[Row] = field(default_factory=list)
    _recent: dict[str, Sequence[int]] = field(default_factory=dict)
    _alerts: list[Row] = field(default_factory=list)

    def add(self, rows: Iterable[Row]) -> None:
        """Take the rows apart by their part."""
        for row in rows:
            match row[0]:
                case "flow":
                    self._flows.append(Flow(row[1], row[2], row[3], row[4][0], row[4][1]))
                case "grant":
                    self._grants.append(row)
                case "units":
                    self._units.append(row)
                case "recent":
                    self._recent[row[1]] = row[4]
                case "alert":
                    self._alerts.append(row)
                case "late":
                    self.late_events = row[4][0]

    def recent(self) -> tuple[int, int]:
        """Billed units and their cost since the first instant that counts for averages."""
        return sum(row[0] for row in self._recent.values()), sum(row[1] for row in self._recent.values())

    def grants(self) -> tuple[GrantView, ...]:
        """All grants, those first that still hold something."""
        flows: dict[str, list[Flow]] = defaultdict(list)
        for flow in self._flows:
            flows[flow.account].append(flow)
        views = [_grant(row, flows[f"grant:{row[1]}"]) for row in self._grants]
        views.sort(key=lambda g: (g.remaining_micros == 0, g.credit, g.app, g.granted, g.grant_id))
        return tuple(views)

    def apps(self) -> tuple[AppView, ...]:
        """Every app that was used, charged, mapped credit or owes, the dearest first."""
        figures: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        paid = {f"grant:{row[1]}" for row in self._grants if row[3] == "paid"}
        owner = {f"grant:{row[1]}": row[2] for row in self._grants if row[2]}
        for flow in self._flows:
            if flow.what in ("charged", "returned"):
                figures[flow.app]["billed"] += flow.units
                figures[flow.app]["charged"] -= flow.micros
                figures[flow.app]["paid"] += flow.account in paid
            if flow.account in owner:
                figures[owner[flow.account]]["credit"] += flow.micros
                figures[owner[flow.account]]["paid"] += 1
            if flow.account.startswith("due:"):
                figures[flow.account.removeprefix("due:")]["due"] -= flow.micros
        for _, app, kind, _, (units, *_) in self._units:
            figures[app][kind] += units
        for app in self._recent:
            figures[app]["billed"] += 0
        views = [self._app(app, found) for app, found in figures.items()]
        return tuple(sorted(views, key=lambda view: (-view.charged_micros, view.app)))

    def alerts(self) -> tuple[AlertView, ...]:
        """The newest, newest first."""
        found = sorted(self._alerts, key=lambda row: (-row[4][0], row[1]))
        return tuple(AlertView(row[1], row[2], _instant(row[4][0]), row[3]) for row in found)

    def _app(self, app: str, found: dict[str, int]) -> AppView:
        quarter = self._recent.get(app, (0, 0, 0))[2]
        last = _EPOCH + timedelta(seconds=quarter * _QUARTER_SECONDS) if quarter else None
        return AppView(
            bool(found["paid"]), last is None, app, found["conversation"], found["session"],
            found["notification"] + found["alert"], found["billed"], found["charged"], found["credit"], found["due"],
            last,
        )  # fmt: skip


def read_parts(client: Client, workspace: str, average_since: datetime, since: datetime) -> AccountParts | None:
    """The parts of one workspace; None if the ledger knows none of that name."""
    quarters = {"average_since": _quarter(average_since), "since": _quarter(since)}
    rows = client.query(read_sql("reading/account.sql"), parameters={"workspace": workspace, **quarters}).result_rows
    newest = next((row[4] for row in rows if row[0] == "ledger"), None)
    if newest is None:
        return None
    records, created, *balances = newest
    parts = AccountParts(_instant(created), records, *balances)
    parts.add(rows)
    return parts


def _grant(row: Row, flows: Sequence[Flow]) -> GrantView:
    _, grant_id, app, credit, (granted, expires) = row
    given = sum(flow.micros for flow in flows if flow.what == _GIVEN)
    used = -sum(flow.micros for flow in flows if flow.what in _USED)
    lapsed = -sum(flow.micros for flow in flows if flow.what == _LAPSED)
    remaining = sum(flow.micros for flow in flows)
    return GrantView(
        grant_id, credit, app, _instant(granted), _instant(expires) if expires >= 0 else None, given, used, lapsed,
        remaining - given + used + lapsed, remaining,
    )  # fmt: skip


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _quarter(instant: datetime) -> int:
    """Which quarter of an hour since 1970 an instant lies in."""
    return int(instant.timestamp()) // _QUARTER_SECONDS
