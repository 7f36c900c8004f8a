"""The reconciliation (L6): a second implementation, in SQL alone, over the raw events; every difference is listed.

It shares no code with METER or ACCOUNTS: lateness, identities, units, plans, prices, grants and balances are computed
again from the tables `interactions` and `commands` and the catalog, and compared with what the topics said. One range
of workspaces after the other, so that memory is bounded by the largest. Compare after everything has been loaded.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from projections.sql import read_sql
from projections.standing import row_counts
from schemas.catalog import Catalog, load_catalog
from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE
from schemas.plans import MONTHS

MOST_LISTED = 1_000
"""Differences listed of one kind of comparison; all are counted."""
MOST_EXPLAINED = 100
"""Differences that are listed with their events."""
ROWS_PER_RANGE = 2_000_000
"""Events and ledger lines of the workspaces that are compared at once; a larger workspace is compared alone."""

_BOUNDED = {
    # What does not fit is sorted and grouped on disk.
    "max_bytes_before_external_group_by": 700_000_000,
    "max_bytes_before_external_sort": 700_000_000,
}
_DATA = ("prices", "offers", "admitted", "admitted_units")
_TIMELINES = ("accepted", "orders", "contract_spans", "app_spans", "publications")
_RECOUNT = ("again", "recounted", "priced")
_CHECKS = (
    "units", "daily", "charges", "included", "usage", "postings", "sequence", "hashes", "intact", "balances",
    "accounts", "parts", "conservation", "expired", "order",
)  # fmt: skip
_CHECKS_AT_ONCE = ("grants", "commands", "lapses", "aside", "outcomes")
_JUDGED = """
CREATE TEMPORARY TABLE judged
(kafka_partition UInt32, kafka_offset UInt64, verdict LowCardinality(String), complete_us Int64) ENGINE = Memory
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that is not what the recount says. `key` says whose, `day` is a UTC day or empty; `events`: the first
    events (source and id) of that key and day, where the figure comes from events."""

    check: str
    workspace: str
    key: str
    day: str
    expected: int
    found: int
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared, and what differed: `counts` of all differences by check, `differences` the first of each."""

    recounted_units: int
    counts: dict[str, int]
    differences: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return not self.counts


@dataclass(frozen=True, slots=True)
class Spans:
    """The rules' spans in microseconds: U1, U2, U6."""

    gap_us: int = 15 * MICROS_PER_MINUTE
    session_us: int = 15 * MICROS_PER_MINUTE
    lateness_us: int = 24 * MICROS_PER_HOUR
    future_us: int = 5 * MICROS_PER_MINUTE


Tell = Callable[[int, int], None]


def reconcile(
    client: Client,
    spans: Spans | None = None,
    catalog: Catalog | None = None,
    *,
    rows_per_range: int = ROWS_PER_RANGE,
    tell: Tell = lambda done, of: None,
) -> Reconciliation:
    """Recount and compare. Changes nothing, so it may run at any time. `tell`: ranges done, of how many."""
    with _session(client, spans or Spans(), catalog or load_catalog()) as session:
        found = [session.differences(check) for check in _CHECKS_AT_ONCE]
        ranges = _ranges(client, rows_per_range)
        units = 0
        for done, (low, high) in enumerate(ranges):
            tell(done, len(ranges))
            session.recount(low, high)
            units += int(client.query("SELECT count() FROM recounted", settings=session.settings).first_row[0])
            found += [session.differences(check) for check in _CHECKS]
        tell(len(ranges), len(ranges))
    found.append(_loaded_twice(client))
    counts: Counter[str] = Counter()
    listed: dict[str, list[Difference]] = {}
    for differences, totals in found:
        counts.update(totals)
        for difference in differences:
            of_check = listed.setdefault(difference.check, [])
            if len(of_check) < MOST_LISTED:
                of_check.append(difference)
    return Reconciliation(units, dict(counts), tuple(one for of_check in listed.values() for one in of_check))


def record(client: Client, reconciliation: Reconciliation, seconds: float) -> None:
    """Remember what was found: `/metrics` shows the newest."""
    rows = [[seconds, reconciliation.recounted_units, reconciliation.counts]]
    client.insert("reconciliations", rows, column_names=["seconds", "units", "differences"])


def newest(client: Client) -> float | None:
    """When the newest reconciliation finished, in seconds since 1970; None when there was none."""
    count, finished = client.query("SELECT count(), max(toFloat64(finished)) FROM reconciliations").result_rows[0]
    return float(finished) if count else None


@contextmanager
def recount(client: Client, spans: Spans | None = None, catalog: Catalog | None = None) -> Iterator[dict[str, Any]]:
    """The settings of a session with the temporary tables `judged` (U6), `recounted` and `priced` of all workspaces."""
    with _session(client, spans or Spans(), catalog or load_catalog()) as session:
        session.recount("", "")
        yield session.settings


@contextmanager
def _session(client: Client, spans: Spans, catalog: Catalog) -> Iterator[_Session]:
    session = _Session(client, {**asdict(spans), **catalog_parameters(catalog)})
    try:
        session.begin()
        yield session
    finally:
        session.end()


class _Session:
    """A session of ClickHouse with temporary tables: the second implementation's own."""

    def __init__(self, client: Client, parameters: dict[str, Any]) -> None:
        self._client = client
        self._parameters = parameters
        self.settings = {"session_id": f"reconcile-{uuid.uuid4()}", "session_timeout": 3600, **_BOUNDED}

    def begin(self) -> None:
        """What does not depend on the range: who is late, what the catalog says, which plan held when."""
        self._client.command(_JUDGED, settings=self.settings)
        partitions = self._client.query("SELECT DISTINCT kafka_partition FROM interactions ORDER BY 1").result_rows
        for (partition,) in partitions:
            self._run("judged", partition=partition)
        for step in (*_DATA, *_TIMELINES):
            self._run(step)

    def recount(self, low: str, high: str) -> None:
        """The units of the workspaces from `low` up to `high` (empty: no bound), and what they cost."""
        self._parameters |= {"low": low, "high": high}
        for step in _RECOUNT:
            self._drop(step)
            self._run(step)

    def differences(self, check: str) -> Found:
        """What one check finds in the range."""
        inner = read_sql(f"reconcile/check_{check}.sql")
        query = (
            "SELECT *, count() OVER (PARTITION BY check) AS total "  # noqa: S608 - a file of ours
            f"FROM ({inner}) ORDER BY check, workspace, key, day LIMIT {MOST_LISTED} BY check"
        )
        answer = self._client.query(query, parameters=self._parameters, settings=self.settings)
        rows = list(answer.named_results())
        listed = [Difference(*(row[name] for name in _COLUMNS)) for row in rows]
        if "place" in answer.column_names:
            listed = self._with_events(listed, [row["place"] for row in rows])
        return listed, {row["check"]: row["total"] for row in rows}

    def end(self) -> None:
        """Leave nothing behind."""
        for step in ("judged", *_DATA, *_TIMELINES, *_RECOUNT):
            self._drop(step)

    def _run(self, step: str, **more: Any) -> None:
        parameters = {**self._parameters, **more}
        self._client.command(read_sql(f"reconcile/{step}.sql"), parameters=parameters, settings=self.settings)

    def _drop(self, step: str) -> None:
        self._client.command(f"DROP TEMPORARY TABLE IF EXISTS {step}", settings=self.settings)

    def _with_events(self, listed: list[Difference], places: Sequence[Any]) -> list[Difference]:
        """The first differences with their events."""
        if not listed:
            return listed
        asked = list(zip(listed, places, strict=True))[:MOST_EXPLAINED]
        # A place may come as a named tuple's dictionary.
        fields = [tuple(place.values()) if isinstance(place, dict) else tuple(place) for _, place in asked]
        parameters = {
            "workspaces": [difference.workspace for difference, _ in asked],
            "days": [difference.day for difference, _ in asked],
            "apps": [place[0] for place in fields], "channels": [place[1] for place in fields],
            "users": [place[2] for place in fields], "unit_ids": [place[3] for place in fields],
        }  # fmt: skip
        answer = self._client.query(read_sql("reconcile/events.sql"), parameters=parameters, settings=self.settings)
        events = {number: tuple(found) for number, found in answer.result_rows}
        return [replace(difference, events=events.get(number, ())) for number, difference in enumerate(listed)]


def catalog_parameters(catalog: Catalog) -> dict[str, Any]:
    """The catalog as the queries' parameters: dated prices, offers, and what its plans are."""
    prices = [(plan.id, price) for plan in catalog.plans for price in plan.prices]
    offers = [(plan.id, offer) for plan in catalog.plans for offer in plan.offers]
    trial, contract = catalog.plan_of_kind("trial"), catalog.plan_of_kind("contract")
    terms = trial.trial if trial else None
    return {
        "price_plans": [plan for plan, _ in prices],
        "price_kinds": [price.unit for _, price in prices],
        "price_froms_us": [price.from_us for _, price in prices],
        "price_micros": [price.amount_micros for _, price in prices],
        "offer_plans": [plan for plan, _ in offers],
        "offer_months": [MONTHS[offer.period] for _, offer in offers],
        "offer_froms_us": [offer.from_us for _, offer in offers],
        "offer_included": [offer.included for _, offer in offers],
        "plans": [plan.id for plan in catalog.plans],
        "billing_units": [plan.billing_unit for plan in catalog.plans],
        "default_plan": catalog.plans[0].id,
        "contract_plan": contract.id if contract else "",
        "trial_plan": trial.id if trial else "",
        "trial_us": terms.days * MICROS_PER_DAY if terms else 0,
        "trial_included": terms.included if terms else 0,
        "free_micros": catalog.free_credit.amount_micros,
        "free_us": catalog.free_credit.days * MICROS_PER_DAY,
        "policy_us": catalog.free_credit.policy_us,
    }


def format(reconciliation: Reconciliation, most_rows: int = 50) -> Group:
    """For a person: one line when everything agrees, else a table of the first differences and the counts of all."""
    if reconciliation.is_clean:
        return Group(Text(f"{reconciliation.recounted_units:,} units counted again: no difference", style="green"))
    shown = Table("check", "workspace", "key", "day", "expected", "found", "events", title="differences")
    for difference in reconciliation.differences[:most_rows]:
        where = map(escape, (difference.check, difference.workspace, difference.key, difference.day))
        shown.add_row(*where, f"{difference.expected:,}", f"{difference.found:,}", escape("\n".join(difference.events)))
    totals = ", ".join(f"{count:,} {check}" for check, count in reconciliation.counts.items())
    return Group(shown, Text(f"{reconciliation.recounted_units:,} units counted again; differences: {totals}", "red"))


Found = tuple[Sequence[Difference], dict[str, int]]
_COLUMNS = ("check", "workspace", "key", "day", "expected", "found")


def _ranges(client: Client, rows_per_range: int) -> list[tuple[str, str]]:
    """Workspaces cut into ranges of about so many rows; the last one, and the first, are open."""
    cuts = [""]
    rows = 0
    for workspace, count in client.query(read_sql("reconcile/ranges.sql")).result_rows:
        if rows and rows + count > rows_per_range:
            cuts.append(workspace)
            rows = 0
        rows += count
    return list(zip(cuts, [*cuts[1:], ""], strict=True))


def _loaded_twice(client: Client) -> Found:
    """L3: what the loader must never do."""
    differences = [
        Difference("loaded once", "", count.table, "", min(count.places, count.origins), count.rows)
        for count in row_counts(client)
        if not count.is_loaded_once
    ]
    return differences, {"loaded once": len(differences)} if differences else {}
