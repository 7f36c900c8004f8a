"""METER counts exactly: boundaries, order, repeats, cuts and restarts, against a batch recount (rules U1-U12)."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.commands import decode_inbox
from schemas.topics import INBOX, INTERACTIONS, LATE, REJECTED
from schemas.units import Watermark
from streams.durable.machine import Output, RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from tests.metering.building import DAY, HOUR, MINUTE, SECOND, T0, canonical, net, newest, record, tick, units, value
from tests.metering.recount import Message, recount

POLICY = MeterPolicy(interaction_partitions=1, account_partitions=1)


def run(contents: list[bytes], policy: MeterPolicy = POLICY) -> tuple[MeterPartition, list[Output]]:
    meter = MeterPartition(0, policy)
    return meter, meter.step([record(offset, content) for offset, content in enumerate(contents)])


def counts_of(times: list[int]) -> Counter[str]:
    _, outputs = run([value(T0 + time, str(n)) for n, time in enumerate(times)])
    return Counter(unit.kind for unit in newest(units(outputs)).values())


@pytest.mark.parametrize(
    ("later_us", "conversations", "sessions"),
    [(15 * MINUTE - 1000, 1, 1), (15 * MINUTE, 1, 2), (15 * MINUTE + 1, 2, 2), (15 * MINUTE + 1000, 2, 2)],
)
def test_u1_u2_the_quarter_hour_continues_a_conversation_and_ends_a_session(
    later_us: int, conversations: int, sessions: int
) -> None:
    assert counts_of([0, later_us]) == {"conversation": conversations, "session": sessions}
    assert counts_of([later_us, 0]) == {"conversation": conversations, "session": sessions}


def test_u14_thirty_one_minutes_of_steady_talk_are_one_conversation_and_three_sessions() -> None:
    _, outputs = run([value(T0 + n * MINUTE, str(n)) for n in range(32)])
    held = newest(units(outputs))
    (conversation,) = [u for u in held.values() if u.kind == "conversation"]
    sessions = [u for u in held.values() if u.kind == "session"]
    assert [s.start_us - T0 for s in sessions] == [0, 15 * MINUTE, 30 * MINUTE]
    assert {s.conversation_id for s in sessions} == {conversation.unit_id}


def test_u5_a_late_event_joins_two_conversations_and_the_later_one_is_retracted() -> None:
    _, outputs = run([value(T0, "a"), value(T0 + 20 * MINUTE, "b"), value(T0 + 10 * MINUTE, "c")])
    changes = [(u.kind, u.change, u.start_us - T0) for u in units(outputs)]
    assert ("conversation", "retracted", 20 * MINUTE) in changes
    assert net(units(outputs)) == {("u", "conversation", T0 // DAY, True): 1, ("u", "session", T0 // DAY, True): 2}


def test_u5_two_messages_swapped_by_milliseconds_keep_every_unit() -> None:
    times = [n * 5 * MINUTE for n in range(40)]
    straight = [value(T0 + time, str(n)) for n, time in enumerate(times)]
    swapped = [*straight[:1], value(T0 + 1000, "x"), *straight[1:]]
    swapped[0], swapped[1] = swapped[1], swapped[0]
    _, outputs = run(swapped)
    assert Counter(u.change for u in units(outputs))["retracted"] == 0
    assert Counter(u.kind for u in units(outputs) if u.change == "opened") == {"conversation": 1, "session": 14}


def test_u7_the_same_identity_again_changes_nothing() -> None:
    meter, outputs = run([value(T0, "a"), value(T0, "a"), value(T0 + MINUTE, "a")])
    assert len(units(outputs)) == 2
    assert (meter.outcomes.opened, meter.outcomes.repeated) == (1, 2)


def test_u12_a_conversation_the_app_began_is_free_until_the_user_speaks() -> None:
    began = value(T0, "a", direction="outbound")
    _, outputs = run([began])
    assert [u.billable for u in units(outputs)] == [False, False]
    _, outputs = run([began, value(T0 + 14 * MINUTE, "b")])
    (conversation,) = [u for u in newest(units(outputs)).values() if u.kind == "conversation"]
    assert conversation.billable
    assert conversation.start_us == T0


@pytest.mark.parametrize("environment", ["developer", "test"])
def test_u12_developer_and_test_traffic_is_counted_apart_and_never_billable(environment: str) -> None:
    meter, outputs = run([value(T0, "a", environment=environment), value(T0 + MINUTE, "b")])
    held = newest(units(outputs)).values()
    expected = [(env, kind, env == "live") for env in (environment, "live") for kind in ("conversation", "session")]
    assert sorted((u.environment, u.kind, u.billable) for u in held) == sorted(expected)
    assert getattr(meter.outcomes, f"unbilled_{environment}") == 1


def test_u12_events_with_a_human_agent_neither_open_nor_extend_a_unit() -> None:
    agent = value(T0 + 10 * MINUTE, "b", actor="human_agent")
    meter, outputs = run([value(T0, "a"), agent, agent, value(T0 + 20 * MINUTE, "c")])
    assert Counter(u.kind for u in newest(units(outputs)).values()) == {"conversation": 2, "session": 2}
    assert (meter.outcomes.unbilled_human_agent, meter.outcomes.repeated) == (1, 1)


def test_u8_u9_a_notification_is_a_unit_of_its_own_exactly_once() -> None:
    notification = value(T0, "n", type="quarterhour.notification.v1", direction="outbound")
    alert = value(T0, "m", type="quarterhour.alert.v1", direction="outbound")
    _, outputs = run([notification, alert, notification, alert])
    held = Counter((u.kind, u.billable) for u in newest(units(outputs)).values())
    assert held == {
        ("notification", True): 1,
        ("alert", True): 1,
        ("conversation", False): 1,
        ("session", False): 1,
    }


def test_u6_older_than_the_lateness_is_set_aside_and_exactly_as_old_is_not() -> None:
    newer = value(T0 + DAY, "a")
    meter, outputs = run([newer, value(T0, "b"), value(T0 - 1, "c")])
    assert (meter.outcomes.late, meter.outcomes.opened) == (1, 2)
    (late,) = [o for o in outputs if o.topic == LATE]
    assert b'"reason":"late"' in (late.value or b"")
    assert b'"id":"c"' in (late.value or b"")


def test_u6_what_was_closed_stays_so_when_more_lateness_is_allowed_later() -> None:
    """U11: its units are final, and late events may have been admitted into that time; also in a session still open."""
    closed = T0 + 2 * DAY
    meter, _ = run([value(T0, "a"), value(closed - 5 * MINUTE, "b"), tick(closed + DAY)])
    patient = MeterPartition(0, MeterPolicy(lateness_us=7 * DAY, interaction_partitions=1, account_partitions=1))
    for key, content in meter.take_changes():
        if content is not None:
            patient.restore(key, content)
    patient.restored(meter.checkpoint())
    late = [value(T0 + MINUTE, "c"), value(closed - MINUTE, "d"), value(closed - 1, "e", user="v")]
    outputs = patient.step([record(3 + at, content) for at, content in enumerate([*late, value(closed, "f")])])
    assert [output.topic for output in outputs] == [LATE, LATE, LATE]
    assert b"closed while less was allowed" in (outputs[0].value or b"")
    assert (patient.outcomes.late, patient.outcomes.joined) == (3, 1)


def test_u6_from_the_future_is_rejected_and_moves_no_watermark() -> None:
    meter = MeterPartition(0, POLICY)
    ahead = 5 * MINUTE
    outputs = meter.step([record(0, value(T0 + ahead, "a"), T0), record(1, value(T0 + ahead + 1, "b"), T0)])
    assert meter.watermark_us == T0 + ahead
    (rejected,) = [o for o in outputs if o.topic == REJECTED]
    assert b'"reason":"too_early"' in (rejected.value or b"")


@pytest.mark.parametrize(
    ("content", "reason", "field"),
    [
        (b"no json", b"not_json", b""),
        (None, b"not_json", b""),
        (b"{}", b"missing_field", b"specversion"),
        (value(T0, "a", app=7), b"invalid_field", b"data.app"),
        (value(T0, "a", channel="a/b"), b"invalid_field", b"data.channel"),
        (value(0, "a"), b"implausible_time", b"time"),
        (b" " * 2_000_000, b"too_large", b""),
        (b"\xff\xfe", b"not_json", b""),
    ],
)
def test_bad_input_is_rejected_with_its_reason_and_the_next_event_counts(
    content: bytes | None, reason: bytes, field: bytes
) -> None:
    meter = MeterPartition(0, POLICY)
    outputs = meter.step([record(0, content), record(1, value(T0, "ok"))])
    (rejected,) = [o for o in outputs if o.topic == REJECTED]
    assert b'"reason":"' + reason + b'"' in (rejected.value or b"")
    assert b'"field":"' + field + b'"' in (rejected.value or b"")
    assert (meter.outcomes.rejected, meter.outcomes.opened) == (1, 1)


def test_a_record_in_the_wrong_partition_is_moved_to_its_own_and_counted_there() -> None:
    policy = MeterPolicy(interaction_partitions=4, account_partitions=1)
    meters = [MeterPartition(p, policy) for p in range(4)]
    content = value(T0, "a")
    moved = [o for p in range(4) for o in meters[p].step([record(0, content)])]
    rerouted = [o for o in moved if o.topic == INTERACTIONS]
    assert len(rerouted) == 3
    assert len(units(moved)) == 2
    home = rerouted[0].partition
    again = meters[home].step(
        [RawRecord(n + 1, record(0, b"").timestamp_ms, o.key, o.value, o.headers) for n, o in enumerate(rerouted)]
    )
    assert again == []
    assert meters[home].outcomes.repeated == 3


def test_u11_a_unit_closes_once_nothing_can_change_it_with_counts_and_state_is_gone() -> None:
    contents = [value(T0, "a"), value(T0 + MINUTE, "b", direction="outbound"), tick(T0 + DAY + 17 * MINUTE)]
    meter, outputs = run(contents)
    closed = [u for u in units(outputs) if u.change == "closed"]
    assert [(u.kind, u.last_us, u.inbound, u.outbound) for u in closed] == [
        ("session", T0 + MINUTE, 1, 1),
        ("conversation", T0 + MINUTE, 1, 1),
    ]
    assert meter.open_keys == 0
    assert list(meter.take_changes())[-1][1] is None


def test_law_7_outcomes_and_watermark_reach_every_inbox_partition() -> None:
    policy = MeterPolicy(interaction_partitions=1, account_partitions=3)
    _, outputs = run([value(T0, "a"), value(T0, "a"), b"x", tick(T0 + HOUR)], policy)
    marks = [(o.partition, decode_inbox(o.value)) for o in outputs if o.topic == INBOX]
    found = [(partition, mark) for partition, mark in marks if isinstance(mark, Watermark)]
    assert [partition for partition, _ in found] == [0, 1, 2]
    mark = found[0][1]
    assert (mark.now_us, mark.complete_us) == (T0 + HOUR, T0 + HOUR - DAY)
    assert {k: n for k, n in mark.outcomes.items() if n} == {"opened": 1, "repeated": 1, "rejected": 1, "tick": 1}


# One to three users, times on a grid that meets every boundary, around midnight.
_EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 180).map(lambda n: T0 - 2 * HOUR + n * 150 * SECOND + (n % 3 - 1) * 1000),
        st.booleans(),
        st.sampled_from(["live", "live", "live", "test"]),
    ),
    max_size=60,
)


def _messages(events: list[tuple[str, int, bool, str]]) -> list[Message]:
    return [Message(user, time, inbound, env == "live") for user, time, inbound, env in events]


def _expected(events: list[tuple[str, int, bool, str]]) -> Counter[tuple[str, str, int, bool]]:
    live = recount(m for m in _messages(events) if m.live)
    return live + recount(m for m in _messages(events) if not m.live)


def _contents(events: list[tuple[str, int, bool, str]]) -> list[bytes]:
    return [
        value(time, str(n), user, direction="inbound" if inbound else "outbound", environment=env)
        for n, (user, time, inbound, env) in enumerate(events)
    ]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=_EVENTS, seed=st.integers(0, 2**32), repeats=st.integers(0, 20), step=st.integers(1, 30))
def test_u5_any_order_repeats_cuts_and_restarts_give_the_batch_recount(
    events: list[tuple[str, int, bool, str]], seed: int, repeats: int, step: int
) -> None:
    chance = random.Random(seed)
    contents = _contents(events)
    contents += chance.choices(contents, k=repeats) if contents else []
    chance.shuffle(contents)
    records = [record(offset, content) for offset, content in enumerate(contents)]

    whole = MeterPartition(0, POLICY)
    outputs = whole.step(records)
    assert net(units(outputs)) == _expected(events)
    counted: Counter[tuple[str, str, int, bool]] = Counter()
    for unit in newest(units(outputs)).values():
        counted[unit.user, unit.kind, unit.start_us // DAY, unit.billable] += 1
    assert counted == _expected(events)

    cut = _run_with_restarts(records, step)
    assert canonical(cut) == canonical(outputs)


def _run_with_restarts(records: list[RawRecord], step: int) -> list[Output]:
    """The same records in batches, every batch on a machine restored from the changelog of the one before."""
    outputs: list[Output] = []
    changelog: dict[bytes, bytes] = {}
    checkpoint: bytes | None = None
    for first, last in pairwise([*range(0, len(records), step), len(records)]):
        meter = MeterPartition(0, POLICY)
        for key, content in changelog.items():
            meter.restore(key, content)
        meter.restored(checkpoint)
        outputs += meter.step(records[first:last])
        for key, changed in meter.take_changes():
            if changed is None:
                changelog.pop(key, None)
            else:
                changelog[key] = changed
        checkpoint = meter.checkpoint()
    return outputs


@settings(max_examples=100, deadline=None)
@given(days=st.integers(2, 12), seed=st.integers(0, 2**32), step=st.integers(1, 40))
def test_u5_u11_over_days_with_delays_within_the_lateness_all_closes_and_nothing_is_kept(
    days: int, seed: int, step: int
) -> None:
    chance = random.Random(seed)
    times = [T0 + chance.randrange(days * 96) * 15 * MINUTE + chance.choice((-1, 0, 1)) for _ in range(days * 12)]
    messages = [Message(chance.choice("ab"), time) for time in times]
    arrivals = sorted((m.time_us + chance.randrange(DAY + 1), n) for n, m in enumerate(messages))
    contents = [value(messages[n].time_us, str(n), messages[n].key) for _, n in arrivals]
    contents.append(tick(T0 + (days + 2) * DAY))
    records = [record(offset, content) for offset, content in enumerate(contents)]
    meter = MeterPartition(0, POLICY)
    outputs = meter.step(records)
    assert meter.outcomes.late == 0
    assert net(units(outputs)) == recount(messages)
    held = newest(units(outputs)).values()
    assert {u.change for u in held} == {"closed"}
    assert sum(u.inbound or 0 for u in held if u.kind == "conversation") == len(messages)
    assert sum(u.inbound or 0 for u in held if u.kind == "session") == len(messages)
    assert meter.open_keys == 0
    assert canonical(_run_with_restarts(records, step)) == canonical(outputs)
