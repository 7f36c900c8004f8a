"""The reconciliation is clean on a consistent history, and finds each planted difference (L6)."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from rich.console import Console

from projections.loader.records import TopicPartition
from projections.reconcile import Difference, Reconciliation, format, reconcile, recount
from projections.standing import row_counts
from schemas import topics
from schemas.ledger import GrantOpened, decode_ledger, encode_ledger
from tests.projections.fake_source import Log, home_of, message
from tests.projections.funded_world import APRIL_1, OF_APP, SHARED, credit, funded_world, talk
from tests.projections.loading import load_all
from tests.projections.small_world import DAY, EVE, FEBRUARY, GIVEN, GRANT, MINUTE, PRICE, small_world


@pytest.fixture
async def loaded(client: Client) -> Client:
    """A database that holds the small world."""
    await load_all(client, small_world().log)
    return client


def found(reconciliation: Reconciliation, check: str) -> list[Difference]:
    return [difference for difference in reconciliation.differences if difference.check == check]


async def test_a_consistent_history_has_no_difference(loaded: Client) -> None:
    reconciliation = reconcile(loaded)
    assert reconciliation.differences == ()
    assert reconciliation.is_clean
    assert reconciliation.recounted_units == 10


async def test_a_missing_unit_is_found_with_its_key_and_day(loaded: Client) -> None:
    loaded.command(f"DELETE FROM unit_events WHERE kind = 'session' AND start = fromUnixTimestamp64Micro({EVE}, 'UTC')")
    reconciliation = reconcile(loaded)
    key = "bot/web/ann live session"
    events = ("/gateways/test a1",)
    assert found(reconciliation, "units") == [Difference("units", "acme", key, "2025-12-31", 1, 0, events)]
    billable = [Difference("billable units", "acme", key, "2025-12-31", 1, 0, events)]
    assert found(reconciliation, "billable units") == billable


async def test_an_extra_unit_is_found(loaded: Client) -> None:
    loaded.command(
        "INSERT INTO unit_events SELECT * REPLACE ('twice' AS unit_id, 999 AS kafka_offset, 999 AS origin_offset) "
        "FROM unit_events WHERE kind = 'notification'"
    )
    reconciliation = reconcile(loaded)
    assert [(d.key, d.expected, d.found) for d in found(reconciliation, "units")] == [
        ("bot/web/ann live notification", 1, 2)
    ]


async def test_a_unit_on_the_wrong_day_is_missing_on_one_and_extra_on_the_other(loaded: Client) -> None:
    moved = "SELECT * REPLACE (start + INTERVAL 1 DAY AS start) FROM unit_events WHERE kind = 'notification'"
    loaded.command(f"CREATE TEMPORARY TABLE moved AS {moved}", settings={"session_id": "moving"})
    loaded.command("DELETE FROM unit_events WHERE kind = 'notification'")
    loaded.command("INSERT INTO unit_events SELECT * FROM moved", settings={"session_id": "moving"})
    differences = found(reconcile(loaded), "units")
    assert [(d.day, d.expected, d.found) for d in differences] == [("2026-02-09", 1, 0), ("2026-02-10", 0, 1)]


async def test_a_missing_charge_is_found_in_number_and_amount(loaded: Client) -> None:
    for table in ("ledger_charges", "ledger_lines", "ledger_entries"):
        loaded.command(f"DELETE FROM {table} WHERE sequence = 3")
    reconciliation = reconcile(loaded)
    (charge,), (micros,) = found(reconciliation, "charges"), found(reconciliation, "charged micros")
    assert charge.key.startswith("bot/web/ann conversation 2026-02-09T23:50:00Z (c")
    assert (charge.day, charge.expected, charge.found) == ("2026-02-09", 1, 0)
    assert charge.events == ("/gateways/test n1", "/gateways/test e1")
    assert (micros.key, micros.expected, micros.found) == (charge.key, PRICE, 0)


async def test_an_edited_amount_is_found_in_usage_posting_and_balance(loaded: Client) -> None:
    wrong = (
        "SELECT * REPLACE (amount_micros + 1 AS amount_micros) FROM ledger_lines WHERE account = 'usage:conversation'"
    )
    loaded.command(f"CREATE TEMPORARY TABLE wrong AS {wrong} AND sequence = 2", settings={"session_id": "wrong"})
    loaded.command("DELETE FROM ledger_lines WHERE account = 'usage:conversation' AND sequence = 2")
    loaded.command("INSERT INTO ledger_lines SELECT * FROM wrong", settings={"session_id": "wrong"})
    reconciliation = reconcile(loaded)
    usage = Difference("usage of a record", "acme", "2", "", PRICE, PRICE + 1)
    assert found(reconciliation, "usage of a record") == [usage]
    assert found(reconciliation, "posting sums to zero") == [Difference("posting sums to zero", "acme", "2", "", 0, 1)]
    assert "account balance" in reconciliation.counts


async def test_a_broken_sequence_and_hash_chain_are_found(loaded: Client) -> None:
    loaded.command("DELETE FROM ledger_entries WHERE sequence = 2")
    reconciliation = reconcile(loaded)
    assert found(reconciliation, "ledger sequence") == [Difference("ledger sequence", "acme", "after 1", "", 2, 3)]
    assert found(reconciliation, "ledger hash chain") == [Difference("ledger hash chain", "acme", "3", "", 1, 0)]


async def test_a_record_whose_content_no_longer_has_its_hash_is_found(client: Client) -> None:
    """L2: one byte of a note is other than when the record was sealed; the chain alone would not show it."""
    log = small_world().log
    place = TopicPartition(topics.LEDGER, 0)
    forged = msgspec.structs.replace(decode_ledger(log.records[place][1].value), note="nothing to see")
    log.records[place][1] = msgspec.structs.replace(log.records[place][1], value=encode_ledger(forged))
    await load_all(client, log)
    assert reconcile(client).differences == (Difference("ledger hash", "acme", "2", "", 1, 0),)


async def test_parts_that_are_not_the_ledgers_lines_are_found(loaded: Client) -> None:
    """T1: trends are summed from the parts."""
    loaded.command("DELETE FROM ledger_parts WHERE sequence = 3")
    found_ = reconcile(loaded)
    assert found_.counts == {"ledger parts": 1, "billed usage": 1}
    assert found(found_, "ledger parts")[0].expected - found(found_, "ledger parts")[0].found == -PRICE


async def test_daily_usage_that_is_not_the_sum_of_its_units_is_found(loaded: Client) -> None:
    """T1, U12: in units and in billable ones."""
    row = "workspace, day, app, channel, environment, kind, units, billable_units"
    loaded.command(
        f"INSERT INTO usage_daily ({row}) VALUES ('acme', '2026-02-09', 'bot', 'web', 'live', 'session', 2, 1)"
    )
    wrong = [(d.check, d.key, d.day, d.expected, d.found) for d in reconcile(loaded).differences]
    key = "bot/web live session"
    assert wrong == [("daily billable usage", key, "2026-02-09", 1, 2), ("daily usage", key, "2026-02-09", 1, 3)]


async def test_grant_lines_that_do_not_make_the_balance_are_found(loaded: Client) -> None:
    loaded.command(f"DELETE FROM ledger_lines WHERE account = 'grant:{GRANT}' AND sequence = 3")
    difference = found(reconcile(loaded), "balance")[0]
    assert (difference.key, difference.expected - difference.found) == ("credit", PRICE)


async def test_an_event_set_aside_for_no_reason_or_not_set_aside_is_found(loaded: Client) -> None:
    """U6, law 7."""
    loaded.command("DELETE FROM late WHERE 1")
    loaded.command("DELETE FROM rejected WHERE reason = 'not_json'")
    reconciliation = reconcile(loaded)
    assert [(d.expected, d.found) for d in found(reconciliation, "late set aside")] == [(1, 0)]
    outcome = found(reconciliation, "records have one outcome")[0]
    assert outcome.found - outcome.expected == 1


async def test_a_record_loaded_twice_is_found(loaded: Client) -> None:
    loaded.command("INSERT INTO alerts SELECT * REPLACE ('again' AS alert_id) FROM alerts")
    assert found(reconcile(loaded), "loaded once") == [Difference("loaded once", "", "alerts", "", 1, 2)]


async def test_what_arrives_while_a_table_is_looked_at_is_not_loaded_twice(loaded: Client) -> None:
    """L3: the clock goes on beside a reconciliation; each look at a table is of another moment."""

    class Arriving:
        came = 0

        def query(self, query: str, **options: Any) -> Any:
            answer = loaded.query(query, **options)
            if "FROM watermarks" in query:
                self.came += 1_000
                came = f"{self.came} AS kafka_offset, {self.came} AS origin_offset"
                loaded.command(f"INSERT INTO watermarks SELECT * REPLACE ({came}) FROM watermarks LIMIT 1")
            return answer

    before = {count.table: count.rows for count in row_counts(loaded)}["watermarks"]
    counts = row_counts(Arriving())
    assert all(count.is_loaded_once for count in counts)
    assert {count.table: count.rows for count in row_counts(loaded)}["watermarks"] == before + 2
    loaded.command("INSERT INTO watermarks SELECT * REPLACE (9 AS kafka_offset) FROM watermarks LIMIT 1")
    twice = [count.table for count in row_counts(loaded) if not count.is_loaded_once]
    assert twice == ["watermarks"], "the same origin at another place is a repeat"


async def test_differences_are_shown_to_people(loaded: Client) -> None:
    loaded.command("DELETE FROM ledger_entries WHERE sequence = 2")
    out = io.StringIO()
    Console(file=out, width=120).print(format(reconcile(loaded)))
    assert "ledger sequence" in out.getvalue()
    assert "after 1" in out.getvalue()


async def test_credit_out_of_turn_or_of_another_app_is_found(client: Client) -> None:
    """C4, C5: sums, chain and balances are right, but who paid is not. What follows the rules is not listed."""
    world = funded_world()
    follows = len(world.log.records[TopicPartition(topics.LEDGER, 0)])
    start = APRIL_1 + 5 * DAY
    world.charge(talk(world, start, "w1", "bot", "web"), ((f"grant:{OF_APP}", PRICE),))
    world.charge(talk(world, start + DAY, "w2", "helper", "whatsapp"), ((f"grant:{SHARED}", PRICE),))
    await load_all(client, world.log)
    reconciliation = reconcile(client)
    wrong = [
        (d.check, d.key.partition(" by ")[2], d.found)
        for check in ("credit of another app", "order of use")
        for d in found(reconciliation, check)
    ]
    assert wrong == [
        ("credit of another app", f"grant:{OF_APP}, which is of helper at {follows + 1}", PRICE),
        ("order of use", f"grant:{SHARED} before grant:{OF_APP} at {follows + 2}", PRICE),
    ]


async def test_paid_credit_used_while_free_credit_is_left_is_found(client: Client) -> None:
    """C5: but not when the free credit had expired before the unit's start, though it has not lapsed yet (C9)."""
    world = small_world()
    credit(world, GrantOpened(SHARED, "paid", GIVEN, FEBRUARY + DAY))
    world.charge(talk(world, FEBRUARY + 2 * DAY, "w1", "bot", "web"), ((f"grant:{SHARED}", PRICE),))
    world.charge(talk(world, EVE + 89 * DAY, "w2", "bot", "web"), ((f"grant:{SHARED}", PRICE),))
    await load_all(client, world.log)
    (wrong,) = found(reconcile(client), "order of use")
    assert wrong.key.endswith(f" by grant:{SHARED} before grant:{GRANT} at 5")


GAP = 15 * MINUTE


@pytest.mark.parametrize(
    ("step_us", "conversations", "sessions"), [(GAP - 1, 1, 1), (GAP, 1, 2), (GAP + 1, 2, 2)], ids=["-1", "0", "+1"]
)
async def test_the_recount_decides_at_the_microsecond(
    client: Client, step_us: int, conversations: int, sessions: int
) -> None:
    """U1: exactly 15:00.000000 continues the conversation; U2: and starts the next session."""
    assert await recounted_kinds(client, [0, step_us]) == {"conversation": conversations, "session": sessions}


async def test_a_session_edge_is_counted_from_the_sessions_start_not_from_the_last_event(client: Client) -> None:
    """U2, U14: 31 minutes of steady talk are one conversation and three sessions."""
    assert await recounted_kinds(client, [m * MINUTE for m in range(32)]) == {"conversation": 1, "session": 3}


async def test_the_same_identity_counts_once_and_the_first_decides(client: Client) -> None:
    """U7."""
    kinds = await recounted_kinds(client, [0, 60 * MINUTE], ids=["same", "same"])
    assert kinds == {"conversation": 1, "session": 1}


async def test_a_record_in_a_wrong_partition_does_not_count_but_its_rerouted_copy_does(client: Client) -> None:
    log = Log()
    value = message(EVE, id="x", user="ann")
    wrong = 1 - home_of("ann")
    log.append(topics.INTERACTIONS, wrong, value, EVE // 1000)
    await load_all(client, log)
    with recount(client) as session:
        assert client.query("SELECT count() FROM recounted", settings=session).first_row[0] == 0
    headers = [("qh-rerouted-from", b"0:0")]
    log.append(topics.INTERACTIONS, home_of("ann"), value, EVE // 1000, headers)
    await load_all(client, log)
    with recount(client) as session:
        assert client.query("SELECT count() FROM recounted", settings=session).first_row[0] == 2


async def test_late_is_judged_by_the_watermark_before_the_record(client: Client) -> None:
    """U6: exactly the allowed lateness is in time; one microsecond more is late; ticks move the watermark."""
    log = Log()
    day = 24 * 60 * MINUTE
    for place, time_us in enumerate((EVE, EVE - day, EVE - day - 1)):
        log.append(topics.INTERACTIONS, home_of("ann"), message(time_us, id=f"i{place}"), EVE // 1000)
    await load_all(client, log)
    with recount(client) as session:
        query = "SELECT kafka_offset, verdict FROM judged WHERE verdict != 'moved'"
        judged = client.query(query, settings=session).result_rows
    assert judged == [(2, "late")]


async def recounted_kinds(client: Client, steps_us: list[int], ids: list[str] | None = None) -> dict[str, int]:
    log = Log()
    for place, step_us in enumerate(steps_us):
        id = ids[place] if ids else f"i{place}"
        value = message(EVE + step_us, id=id)
        log.append(topics.INTERACTIONS, home_of("ann"), value, (EVE + step_us) // 1000 + 1)
    await load_all(client, log)
    with recount(client) as session:
        rows = client.query("SELECT kind, count() FROM recounted GROUP BY kind", settings=session).result_rows
    return dict(rows)
