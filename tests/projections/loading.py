"""Running the loader over a log in memory, dying on purpose, and comparing what databases hold."""

from __future__ import annotations

import asyncio
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from projections.loader.loading import Loader, LoadPolicy
from projections.loader.tables import TABLES
from tests.projections.fake_source import Log, LogSource

IMPATIENT = LoadPolicy(enough_records=1, linger_seconds=0.01, patience_seconds=60)
VIEWS = ("units", "balances", "grant_balances", "charges", "outcomes")
NEW_YEAR_US = 1_767_225_600_000_000
_FAR_TOO_LONG_SECONDS = 120


class Killed(Exception):
    """The loader's process died here."""


class DyingClient:
    """A client whose process dies at an insert: before it was sent, or after it was done but not acknowledged."""

    def __init__(self, client: Client, inserts_left: int, *, insert_is_done: bool) -> None:
        self._client = client
        self._inserts_left = inserts_left
        self._insert_is_done = insert_is_done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def insert(self, table: str, data: Any, **options: Any) -> Any:
        self._inserts_left -= 1
        if self._inserts_left > 0:
            return self._client.insert(table, data, **options)
        if self._insert_is_done:
            self._client.insert(table, data, **options)
        raise Killed(table)


class FlakyClient:
    """A client whose inserts fail now and then: every second time before they are done, else after."""

    def __init__(self, client: Client, every: int) -> None:
        self._client = client
        self._every = every
        self._inserts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def insert(self, table: str, data: Any, **options: Any) -> Any:
        self._inserts += 1
        fails = table != "loaders" and self._inserts % self._every == 0
        if not fails or self._inserts % 2:
            self._client.insert(table, data, **options)
        if fails:
            raise OperationalError("the connection was lost")


class TearingClient(DyingClient):
    """A client whose process dies when only the first year's rows of one table have become a part.

    A part is made per ClickHouse partition, and the views have not run yet.
    """

    def __init__(self, client: Client, table: str, instant: str) -> None:
        super().__init__(client, 0, insert_is_done=False)
        self._table = table
        self._instant = instant

    def insert(self, table: str, data: Any, **options: Any) -> Any:
        if table != self._table:
            return self._client.insert(table, data, **options)
        instants = data[options["column_names"].index(self._instant)]
        torn = [[value for value, at in zip(column, instants, strict=True) if at < NEW_YEAR_US] for column in data]
        assert 0 < len(torn[0]) < len(instants), "the rows lie in two partitions"
        feeds_the_view = table == "unit_events"  # the other tables of the batch are written at the same time
        if feeds_the_view:
            self._client.command("DETACH TABLE usage_daily_of_unit_events")
        self._client.insert(table, torn, **options)
        if feeds_the_view:
            self._client.command("ATTACH TABLE usage_daily_of_unit_events")
        raise Killed(table)


async def load_all(client: Any, log: Log, policy: LoadPolicy = IMPATIENT, most_per_fetch: int = 1_000_000) -> Loader:
    """Load until the log is drained and everything of it is durable."""
    source = LogSource(log, most_per_fetch)
    loader = Loader(client, source, policy)
    await loader.start()
    stop = asyncio.Event()
    running = asyncio.create_task(loader.run(stop))
    async with asyncio.timeout(_FAR_TOO_LONG_SECONDS):
        await asyncio.wait([running, asyncio.create_task(source.drained.wait())], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await running
    return loader


def contents(client: Client) -> dict[str, Any]:
    """What every table and view holds, independent of the order of rows."""
    found: dict[str, Any] = {}
    for table in TABLES:
        columns = ", ".join(table.columns)
        query = f"SELECT count(), sum(cityHash64(toString(tuple({columns})))) FROM {table.name}"
        found[table.name] = client.query(query).first_row
    for view in VIEWS:
        found[view] = sorted(client.query(f"SELECT toString(tuple(*)) FROM {view}").result_rows)
    daily = "SELECT workspace, day, app, channel, environment, kind, sum(units), sum(billable_units) FROM usage_daily"
    quarters = "SELECT * EXCEPT (units, micros), sum(units), sum(micros) FROM billed_quarters"
    found["billed_quarters"] = client.query(f"{quarters} GROUP BY ALL ORDER BY ALL").result_rows
    flows = "SELECT workspace, account, what, sum(micros) FROM account_flows GROUP BY ALL ORDER BY ALL"
    found["account_flows"] = client.query(flows).result_rows
    found["usage_daily"] = client.query(f"{daily} GROUP BY ALL ORDER BY ALL").result_rows
    return found
