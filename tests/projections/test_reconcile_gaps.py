"""Faults that no sum shows: the ledger adds up, hangs together, and is wrong all the same (L6)."""

from __future__ import annotations

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from projections.explain import explain_event
from projections.reconcile import Spans, reconcile
from schemas.commands import AddFunds, CreateWorkspace, decode_inbox
from schemas.units import Watermark
from tests.projections.loading import load_all
from tests.projections.whole_world import DAY, HOUR, LATENESS, MINUTE, T0, USD, WholeWorld

SPANS = Spans(lateness_us=LATENESS)
_encode = msgspec.json.Encoder().encode


class Hasty(WholeWorld):
    """Its ACCOUNTS hears watermarks of a later time than METER told."""

    ahead_us = 0

    def to_accounts(self, value: bytes | None) -> bytes | None:
        fact = decode_inbox(value)
        if not self.ahead_us or not isinstance(fact, Watermark):
            return value
        return _encode(msgspec.structs.replace(fact, complete_us=fact.complete_us + self.ahead_us))


@pytest.mark.parametrize(("ahead_us", "lapses_early"), [(0, False), (LATENESS, True)])
async def test_credit_that_lapses_before_its_time_is_found(client: Client, ahead_us: int, lapses_early: bool) -> None:
    """C3, C9: a unit from before the expiry may still come; from then on paid credit pays, and every sum is right."""
    world = Hasty()
    world.order(T0, CreateWorkspace("olga"))
    world.order(T0, AddFunds(200 * USD, "p1"))
    world.say(T0 + HOUR)
    world.tick(T0 + 90 * DAY - HOUR)
    world.ahead_us = ahead_us
    world.tick(T0 + 90 * DAY + HOUR)  # complete is five hours before the expiry
    world.say(T0 + 90 * DAY - 2 * HOUR)
    world.ahead_us = 0
    world.tick(T0 + 91 * DAY)
    await load_all(client, world.log)
    found = reconcile(client, SPANS)
    lapsed = [record for record in world.ledger if record.kind == "lapse"]
    assert [one.sequence for one in lapsed] == [4 if lapses_early else 5]
    told = [(one.check, one.workspace, one.key, one.expected, one.found) for one in found.differences]
    told_of = "lapsed before its time"
    key = f"grant:acme/welcome at {lapsed[0].sequence}"
    expected = [(told_of, "acme", key, 0, 499_800_000)] if lapses_early else []
    assert told == expected
    # Partitions that `interactions` gets later had nothing to tell.
    grown = "SELECT * REPLACE (source_partitions + 2 AS source_partitions, kafka_offset + 1000 AS kafka_offset"
    client.command(f"INSERT INTO watermarks {grown}, origin_offset + 1000 AS origin_offset) FROM watermarks")
    assert len([one for one in reconcile(client, SPANS).differences if one.check == told_of]) == len(expected)


async def test_an_identity_used_again_once_its_time_is_closed_is_an_event_of_its_own(client: Client) -> None:
    """U7: and until then it changes nothing, whatever its time; the recount draws the line where METER does."""
    world = WholeWorld()
    start = T0 + 30 * MINUTE
    for user in ("ann", "bob", "cat", "dan"):
        world.say(start, user, id="one")
    for after, id in ((0, "one"), (2 * HOUR, "two"), (2 * HOUR + 5 * MINUTE, "one")):
        world.say(start + after, "eve", id=id)
    world.tick(start + LATENESS + MINUTE - 1)  # the minute of `start` is the newest that is open
    world.say(start + LATENESS, "ann", id="one")
    world.tick(start + LATENESS + MINUTE)  # and now it is closed
    world.say(start + LATENESS + MINUTE, "dan", id="one")
    for _ in range(2):
        world.say(start + LATENESS + HOUR, "bob", id="one")
    world.say(start + 2 * DAY, "bob", id="one")
    world.say(start, "cat", id="one")  # as it was, and late
    world.tick(start + 3 * DAY)
    await load_all(client, world.log)
    units = client.query(
        "SELECT user, count(), sum(billable) FROM units WHERE kind = 'conversation' GROUP BY user ORDER BY user"
    ).result_rows
    assert units == [("ann", 1, 1), ("bob", 3, 3), ("cat", 1, 1), ("dan", 2, 2), ("eve", 2, 2)]
    assert client.query("SELECT user FROM late").result_rows == [("cat",)]
    assert reconcile(client, SPANS).differences == ()
    outcomes = dict(client.query("SELECT * FROM outcomes").result_rows)
    assert (outcomes["opened"], outcomes["repeated"], outcomes["late"]) == (9, 3, 1)
    reused = client.query("SELECT user, id, arrivals, times FROM reused_identities ORDER BY user").result_rows
    assert reused == [("ann", "one", 2, 2), ("bob", "one", 4, 3), ("dan", "one", 2, 2), ("eve", "one", 2, 2)]
    arrivals = [(one.event.user, one.outcome) for one in explain_event(client, "one", "acme")]
    assert [outcome for user, outcome in arrivals if user == "bob"] == ["billed", "billed", "repeated", "billed"]
    assert [outcome for user, outcome in arrivals if user == "ann"] == ["billed", "repeated"]
    (two,) = explain_event(client, "two", "acme")
    counted = [[(event.id, event.time.hour) for event in unit.events] for unit in two.units]
    assert counted == [[("two", 2)], [("two", 2)]], "the repeat beside it changes nothing"
    own = {
        unit.unit.start for one in explain_event(client, "one", "acme") for unit in one.units if unit.unit.user == "bob"
    }
    assert len(own) == 3
