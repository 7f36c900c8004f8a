"""The clock: lapses by `complete` (C3, C8, C9), alerts by `now` (A1, A2), marks, repeats and bad records."""

from __future__ import annotations

import msgspec
import pytest

from schemas.alerts import Alert
from schemas.instants import MICROS_PER_HOUR
from schemas.topics import INBOX
from streams.accounts.money import usd
from streams.accounts.policy import policy_of
from streams.durable.machine import RawRecord
from streams.metering.meter import MeterPartition
from streams.metering.policy import MeterPolicy
from streams.workers.clock import tick_outputs
from tests.accounts.story import (
    CENT,
    DAY,
    HOUR,
    T0,
    USD,
    Story,
    Teller,
    amounts,
    catalog,
    create,
    credit,
    funds,
)
from tests.accounts.test_laws import written

END = T0 + 90 * DAY
SMALL = policy_of(catalog(free_credit={"usd": "50.10"}))


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (49_800_000, "USD 49.80"),
        (0, "USD 0.00"),
        (1, "USD 0.000001"),
        (1_234_567_890_000, "USD 1,234,567.89"),
        (-1_500_000, "USD -1.50"),
    ],
)
def test_amounts_are_shown_exactly(micros: int, text: str) -> None:
    """C7."""
    assert usd(micros) == text


def test_what_remains_lapses_when_all_units_before_the_expiry_are_complete() -> None:
    """C3: not at `now`, and at `complete` exactly."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.unit("u1"))
    assert story.tell(teller.clock(END), teller.clock(END + DAY - 1)) == []
    (lapse,) = story.tell(teller.clock(END + DAY))
    assert (lapse.kind, lapse.time_us, lapse.cause) == ("lapse", END, "expiry of acme/welcome")
    assert amounts(lapse) == [("lapsed", 49_980 * CENT), ("welcome", -49_980 * CENT)]
    assert lapse.balances.free_micros == 0
    assert story.tell(teller.clock(END + 2 * DAY)) == []


def test_a_late_unit_that_started_before_the_expiry_still_uses_the_credit_and_a_later_one_never() -> None:
    """C3, C9: between the expiry and the lapse."""
    story, teller = Story(), Teller()
    story.tell(create(), funds(100 * USD, "f"), teller.clock(END + HOUR))
    late, new = story.tell(teller.unit("late", END - 1), teller.unit("new", END))
    assert amounts(late)[1] == ("welcome", -20 * CENT)
    assert amounts(new)[1] == ("payment/pay-f", -20 * CENT)


def test_a_charge_after_the_lapse_cannot_use_the_credit() -> None:
    """C9: a conversation in which the user speaks very late."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(END + DAY))
    (charged,) = story.tell(teller.unit("u1", END - DAY, "revised", delta=1))
    assert amounts(charged)[1] == ("due:bot", -20 * CENT)


def test_a_reversal_to_a_lapsed_grant_lapses_at_once() -> None:
    """C8: in the same record. The expiry falls within the five minutes that a unit stays open past `complete`."""
    policy = policy_of(catalog(free_credit={"usd": "1", "days": 1}))
    story, teller = Story(policy), Teller()
    end = T0 + DAY + 60 * USD
    first = end - 1
    story.tell(create(time_us=end - DAY), funds(100 * USD, "f"), teller.unit("u1", first))
    story.tell(teller.clock(end + DAY))
    assert story.balance("lapsed") == 80 * CENT
    (back,) = story.tell(teller.unit("u1", first, "retracted"))
    assert amounts(back) == [
        ("usage:conversation", -20 * CENT),
        ("welcome", 20 * CENT),
        ("lapsed", 20 * CENT),
        ("welcome", -20 * CENT),
    ]
    assert story.balance("lapsed") == 1 * USD
    assert back.balances.free_micros == 0


def test_credit_whose_life_is_over_when_it_arrives_lapses_in_its_own_record() -> None:
    """C2, C3: a workspace of 2022 that arrives in 2026."""
    story, teller = Story(), Teller()
    story.tell(teller.clock(T0))
    (created,) = story.tell(create(time_us=T0 - 1000 * DAY))
    assert [amount for _, amount in amounts(created)] == [-500 * USD, 500 * USD, 500 * USD, -500 * USD]
    assert created.balances.free_micros == 0
    assert story.kinds == ["free_credit_lapsed", "low_balance", "zero_balance"]


def test_several_grants_lapse_in_one_record_and_several_workspaces_in_order() -> None:
    """Law 4, C3: by instant, then workspace; outputs of the one input are numbered."""
    story, teller = Story(), Teller()
    story.tell(create(), credit(1 * USD, "g", T0 + HOUR))
    story.tell(create(workspace="zeta"), create(time_us=T0 - HOUR, workspace="yota"))
    records = story.tell(teller.clock(END + 2 * DAY))
    assert [(r.workspace, r.time_us) for r in records] == [("yota", END - HOUR), ("acme", END + HOUR), ("zeta", END)]
    assert [account for account, _ in amounts(records[1])] == ["lapsed", "welcome", "lapsed", "grant/g"]
    numbered = [r.origin.index for r in records] + [a.origin.index for a in story.alerts]
    assert sorted(numbered) == list(range(len(numbered)))


def test_the_clock_waits_for_the_slowest_source_and_never_goes_back() -> None:
    """The minimum over all partitions of `interactions`; undefined until each has reported."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(END + 9 * DAY, source=0, of=2))
    assert story.ledger[-1].kind == "workspace_created"
    story.tell(teller.clock(END, source=1, of=2))
    assert story.machine.sources.clock == (END, END - DAY)
    story.tell(teller.clock(T0, source=1, of=2))
    assert story.machine.sources.clock == (END, END - DAY)
    story.tell(teller.clock(END + 9 * DAY, source=2, of=3), teller.clock(END + 9 * DAY, source=1, of=3))
    assert [r.kind for r in story.ledger] == ["workspace_created", "lapse"]


def _words(alert: Alert) -> tuple[str, int | None, int, str]:
    return alert.kind, alert.threshold_micros, alert.available_micros, alert.message


def test_a_low_balance_is_told_once_per_crossing_and_again_only_after_a_top_up() -> None:
    """A1, A2: 50.10 free; exactly 50.00 would not be below."""
    story, teller = Story(SMALL), Teller()
    story.tell(create(), teller.unit("u1"))
    message = "Workspace acme has USD 49.90 of credit left, below USD 50.00."
    assert [_words(alert) for alert in story.alerts] == [("low_balance", 50 * USD, 49_900_000, message)]
    story.tell(teller.unit("u2"), teller.unit("u3"))
    assert len(story.alerts) == 1
    story.tell(funds(100 * USD, "f"))
    assert len(story.alerts) == 1
    story.tell(*(teller.unit(f"v{i}") for i in range(500)))
    assert story.kinds == ["low_balance", "low_balance"]
    assert story.alerts[0].alert_id != story.alerts[1].alert_id


def test_a_balance_of_exactly_the_threshold_is_not_low() -> None:
    """A1: strictly below."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "50.20"}))), Teller()
    story.tell(create(), teller.unit("u1"))
    assert story.alerts == []
    story.tell(teller.unit("u2"))
    assert story.kinds == ["low_balance"]


def test_a_correction_that_dips_and_returns_within_one_record_raises_nothing() -> None:
    """A2: reversed and charged anew at the same price, at a balance that stays at 50.00."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "50.20"}))), Teller()
    story.tell(create(), teller.unit("u1", END), teller.unit("u1", END - 1, "revised"))
    assert story.account().available_micros == 50 * USD
    assert story.alerts == []


def test_zero_balance_is_told_when_nothing_is_left() -> None:
    """A1: from 0.20 to nothing, after low balance; not again for what is then due."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "0.40"}))), Teller()
    story.tell(create(), teller.unit("u1"))
    assert story.kinds == ["low_balance"]
    story.tell(teller.unit("u2"), teller.unit("u3"))
    assert story.kinds == ["low_balance", "zero_balance", "app_stopped"]
    assert story.alerts[1].message == "Workspace acme has no credit left."


def test_free_credit_that_expires_in_7_days_and_in_1_day_is_told_once_each() -> None:
    """A1, A2: by `now`, at the instant exactly; then the alerts stop counting it, and at `complete` it lapses."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(END - 7 * DAY - 1))
    assert story.alerts == []
    story.tell(teller.clock(END - 7 * DAY), teller.clock(END - 6 * DAY))
    assert [(a.kind, a.grant_id, a.time_us) for a in story.alerts] == [
        ("free_credit_expiring", "acme/welcome", END - 7 * DAY)
    ]
    story.tell(teller.clock(END - DAY), teller.clock(END - 1))
    assert story.alerts[1].message == (
        "USD 500.00 of free credit of workspace acme expires in 1 day or less, at 2026-04-01T00:00:00Z."
    )
    story.tell(teller.clock(END))
    assert story.kinds[2:] == ["low_balance", "zero_balance"]
    story.tell(teller.clock(END + DAY))
    assert story.kinds[4:] == ["free_credit_lapsed"]
    assert story.alerts[-1].message == "USD 500.00 of free credit of workspace acme lapsed at 2026-04-01T00:00:00Z."
    assert len({alert.alert_id for alert in story.alerts}) == 5


def test_of_two_warnings_passed_at_once_only_the_nearest_is_told() -> None:
    """A2: a clock that jumps from 8 days before to half a day before."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(END - 8 * DAY), teller.clock(END - 12 * HOUR))
    assert [alert.alert_id for alert in story.alerts] == ["acme/welcome/expiring/1"]


def test_spent_credit_neither_warns_nor_lapses() -> None:
    """A1, C3: nothing remains."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "0.20"}))), Teller()
    story.tell(create(), funds(100 * USD, "f"), teller.unit("u1"))
    story.tell(teller.clock(END - DAY), teller.clock(END), teller.clock(END + DAY))
    assert story.kinds == ["low_balance"], "when it was created with 0.20"
    assert [record.kind for record in story.ledger] == ["workspace_created", "credit_added", "charge"]


def test_a_unit_or_watermark_not_above_the_mark_of_its_source_is_dropped() -> None:
    """Law 3: by (offset, index) per source partition, however old."""
    story, teller = Story(), Teller()
    first, second, other = teller.unit("u1"), teller.unit("u2"), teller.unit("u3", source=1)
    assert len(story.tell(first, second, other)) == 3
    assert story.tell(first, second, other, first) == []
    assert story.machine.counts == {"posted": 3, "repeated": 4}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not_json"),
        (None, "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"type":"unit.v1"}', "invalid_field"),
        (b'{"type":"nothing.v1"}', "invalid_field"),
        (b'{"type":"command.v1","workspace":"\\ud800"}', "not_json"),
    ],
)
def test_a_record_that_cannot_be_decoded_is_set_aside_and_the_next_one_is_taken(bad: bytes | None, reason: str) -> None:
    """Law 7."""
    story = Story()
    (created,) = story.tell(bad, create())
    assert created.kind == "workspace_created"
    (aside,) = story.asides
    assert (aside.reason, aside.origin.topic, aside.origin.offset) == (reason, "account.inbox", 0)
    assert story.machine.counts == {"rejected": 1, "posted": 1}


def test_instants_that_no_calendar_shows_are_set_aside() -> None:
    """U6, law 7: a clock of the year 60000 must not lapse everything."""
    story, teller = Story(), Teller()
    mad = 60_000 * 365 * 24 * MICROS_PER_HOUR
    story.tell(create(), teller.clock(mad), teller.clock(T0, late_us=-1), teller.unit("u", mad), teller.unit("v", 5))
    story.tell(funds(100 * USD, "f", mad))
    assert [aside.reason for aside in story.asides] == ["implausible_time", "invalid_field", *["implausible_time"] * 3]
    assert len(story.ledger) == 1


def test_a_source_that_is_new_and_behind_does_not_turn_the_clock_back() -> None:
    """More partitions of `interactions` than before: credit that has lapsed stays lapsed."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(END), teller.clock(T0, source=1, of=2))
    assert story.machine.sources.clock == (END, END - DAY)
    story.tell(teller.clock(END + HOUR, source=1, of=2))
    assert story.machine.sources.clock == (END, END - DAY)


def test_a_warning_given_is_not_given_again_when_the_clock_wakes_the_account_for_another_grant() -> None:
    """A2: welcome credit is within its 7 days when the second grant's 7 days begin."""
    story, teller = Story(), Teller()
    story.tell(create(), credit(60 * USD, "g", T0 + 3 * DAY), teller.clock(END - 7 * DAY), teller.clock(END - 4 * DAY))
    assert [alert.alert_id for alert in story.alerts] == ["acme/welcome/expiring/7", "acme/grant/g/expiring/7"]


def test_a_unit_within_the_five_minutes_of_complete_is_still_remembered() -> None:
    """Law 6: memory ends with whole buckets of five minutes."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(T0 + DAY + 200 * USD))
    kinds = [r.kind for r in story.tell(teller.unit("u", T0 + USD), teller.unit("u", T0 + USD, "retracted"))]
    assert kinds == ["charge", "reversal"]


def test_a_tick_that_comes_late_and_goes_back_changes_nothing_downstream() -> None:
    """Law 3: a clock that was paused and wakes publishes its last tick behind newer ones; METER and ACCOUNTS stand."""
    meter = MeterPartition(0, MeterPolicy(interaction_partitions=1, account_partitions=1))
    meter.restored(None)
    story = Story()
    story.tell(create())
    alerts: list[list[Alert]] = []
    for offset, at_us in enumerate((T0 + 89 * DAY, T0 + 80 * DAY, T0 + 91 * DAY, T0, T0 + 90 * DAY)):
        (tick,) = tick_outputs(at_us, 1, "paused")
        outputs = meter.step([RawRecord(offset, (T0 + 400 * DAY) // 1000, None, tick.value)])
        before, clock = written(story.account()), story.machine.sources.clock
        seen = len(story.outputs)
        story.tell(*(output.value for output in outputs if output.topic == INBOX))
        alerts.append([alert for output in story.outputs[seen:] if (alert := _alert_of(output.value))])
        if offset in (1, 3, 4):
            assert (written(story.account()), story.machine.sources.clock) == (before, clock)
            assert len(story.outputs) == seen
    assert [len(told) for told in alerts] == [1, 0, 3, 0, 0], "expiring; then lapsed, low and zero"


def _alert_of(value: bytes | None) -> Alert | None:
    fields = msgspec.json.decode(value or b"{}")
    return msgspec.convert(fields, Alert) if "alert_id" in fields else None
