"""What MAILER promises of each delivery: none lost, none twice, every end has a reason (A2, A3, laws 1, 3, 6, 7)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.interactions import ALERT, decode
from schemas.mails import MailRetry, Webhook
from schemas.routing import interaction_key, partition_of
from schemas.topics import INTERACTIONS
from streams.durable.machine import RawRecord
from streams.mailer.deliveries import Accepted, Failed, delivery_id_of, end
from streams.mailer.dispatcher import STEPS
from streams.mailer.metering import ACCOUNT_APP
from streams.mailer.retrying import RetryPolicy
from tests.mailer.notices import ARI, DAY, OLGA, POLICY, SECOND, T0, delivery, notice, record
from tests.mailer.worlds import KillPoint, Receiver, World

HOOK = Webhook("hook1", "acme", "https://hooks.acme.example/alerts", "whsec_c2VjcmV0", T0)
DOWN = Failed("SMTPConnectError: refused")
BUSY = Failed("451 try later")
CUT = Failed("SMTPServerDisconnected", uncertain=True)


async def until_quiet(world: World, hours: int = 200) -> None:
    """Let time pass, an hour at a step, until nothing waits."""
    for _ in range(hours):
        assert await world.live()
        if not list(world.desk.waiting()):
            return
        world.now_us += 3600 * SECOND
    raise AssertionError("still waiting")


async def test_a3_an_alert_is_mailed_to_each_recipient_told_of_and_forgotten() -> None:
    world = World()
    world.alerts = [record(notice("app_stopped", app="helper", recipients=(OLGA, ARI)), 0)]
    assert await world.live()
    assert world.mail.taken == {delivery_id_of("acme/app_stopped/1", "email", p.email): 1 for p in (OLGA, ARI)}
    assert [(s.recipient, s.status) for s in world.steps()] == [
        (OLGA.email, "planned"), (ARI.email, "planned"), (OLGA.email, "sent"), (ARI.email, "sent"),
    ]  # fmt: skip
    assert world.desk.deliveries == {}, "law 6"
    assert world.desk.counts == {"alerts: planned": 1, "sent": 2}


@pytest.mark.parametrize("step", STEPS)
async def test_a3_killed_after_any_step_each_mail_is_taken_once_and_only_an_unjournaled_answer_repeats(
    step: str,
) -> None:
    world = World()
    world.alerts = [record(notice(recipients=(OLGA, ARI)), 0), record(notice("zero_balance", 2), 1)]
    assert not await world.live(KillPoint(step)), f"{step} was never passed"
    assert await world.live()
    assert len(world.mail.taken) == 3, "none lost"
    again = {key for key, count in world.mail.taken.items() if count > 1}
    assert len(again) <= (1 if step == "accepted" else 0)
    assert {s.delivery_id for s in world.steps() if s.status == "sent"} == set(world.mail.taken)
    assert {s.delivery_id for s in world.steps() if s.uncertain} >= again, "what may be a repeat is said to be"
    events = {output.value for output in world.to(INTERACTIONS)}
    assert len(events) == 3, "U9, U7: told again it is the same event"
    assert world.desk.deliveries == {}


@settings(max_examples=60, deadline=None)
@given(kills=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), max_size=8))
async def test_a3_killed_any_number_of_times_none_is_lost_and_repeats_are_at_most_the_unjournaled_answers(
    kills: list[tuple[str, int]],
) -> None:
    world = World()
    world.alerts = [record(notice(offset=n + 1, recipients=(OLGA, ARI)), n) for n in range(3)]
    cut_off = 0
    for step, count in kills:
        if not await world.live(KillPoint(step, count)):
            cut_off += step == "accepted"
    assert await world.live()
    assert len(world.mail.taken) == 6
    assert sum(world.mail.taken.values()) <= 6 + cut_off
    assert len({output.value for output in world.to(INTERACTIONS)}) == 6


@pytest.mark.parametrize("answer", [Accepted("250 OK"), Failed("550 no such user", "bad_address")])
async def test_law_1_nothing_is_remembered_that_was_not_told_first(answer: Accepted | Failed) -> None:
    """Killed in the midst of telling anything: in the end all of it was told."""
    undisturbed = World(Receiver(answer, answer))
    undisturbed.alerts = [record(notice(), 0)]
    await until_quiet(undisturbed)
    for number in range(1, undisturbed.tellings + 1):
        world = World(Receiver(answer, answer))
        world.alerts, world.dies_in_telling = [record(notice(), 0)], number
        lives = [await world.live()]
        while lives[-1] is False or list(world.desk.waiting()):
            world.now_us += 3600 * SECOND
            lives.append(await world.live())
        assert lives.count(False) == 1
        assert {s.status for s in world.steps()} >= {s.status for s in undisturbed.steps()}
        assert len(world.dead()) == len(undisturbed.dead())
        assert len({o.value for o in world.to(INTERACTIONS)}) == len(undisturbed.to(INTERACTIONS))


async def test_a2_the_same_alert_told_again_sends_nothing_more() -> None:
    world = World()
    world.alerts = [record(notice(), 0), record(notice(), 1)]
    assert await world.live()
    world.alerts.append(record(notice(), 2))
    assert await world.live()
    assert sum(world.mail.taken.values()) == 1
    assert world.desk.counts["alerts: repeated"] == 1


async def test_law_7_an_alert_without_a_known_address_is_recorded_and_not_tried() -> None:
    world = World()
    world.alerts = [record(notice(recipients=()), 0)]
    assert await world.live()
    assert [(s.status, s.detail) for s in world.steps()] == [("unaddressed", "no recipient")]
    assert world.mail.attempts == 0
    assert world.desk.deliveries == {}


async def test_law_7_a_record_that_is_no_alert_ends_in_the_dead_letters_and_the_next_one_is_mailed() -> None:
    world = World()
    world.alerts = [RawRecord(0, 0, None, b"{"), RawRecord(1, 0, None, None), record(notice(), 2)]
    assert await world.live()
    assert [letter.reason for letter in world.dead()] == ["invalid_record", "invalid_record"]
    with pytest.raises(ValueError, match="no delivery to try again"):
        world.dead()[0].retry("ops", T0)
    assert sum(world.mail.taken.values()) == 1


@pytest.mark.parametrize("failure", [DOWN, BUSY, Failed("TimeoutError: slow"), CUT])
async def test_a3_a_failing_server_is_tried_again_until_it_takes_the_mail(failure: Failed) -> None:
    world = World(Receiver(failure, failure, failure))
    world.alerts = [record(notice(), 0)]
    await until_quiet(world)
    assert world.mail.attempts == 4
    told = [(s.status, s.attempts, s.uncertain) for s in world.steps()]
    uncertain = failure.uncertain
    assert told == [
        ("planned", 0, False), ("retrying", 1, uncertain), ("retrying", 2, uncertain), ("retrying", 3, uncertain),
        ("sent", 4, uncertain),
    ]  # fmt: skip


async def test_a_mail_that_can_never_be_sent_is_a_dead_letter_at_once_with_its_reason() -> None:
    world = World(Receiver(Failed("550 no such user", "bad_address")))
    world.alerts = [record(notice(), 0)]
    assert await world.live()
    (letter,) = world.dead()
    assert (letter.reason, letter.detail, letter.recipient, letter.attempts) == (
        "bad_address", "550 no such user", OLGA.email, 1,
    )  # fmt: skip
    assert msgspec.json.decode(letter.payload)["alert_id"] == "acme/low_balance/1"
    assert [s.status for s in world.steps()] == ["planned", "dead"]
    assert world.to(INTERACTIONS) == [], "U9: only what was sent is metered"


async def test_a_mail_that_fails_for_five_days_is_given_up_and_not_before() -> None:
    world = World(Receiver(*[DOWN] * 1000))
    world.alerts = [record(notice(), 0)]
    await until_quiet(world)
    (letter,) = world.dead()
    assert letter.reason == "gave_up"
    assert 5 * DAY - 3 * 3600 * SECOND < letter.died_us - T0 <= 5 * DAY + 3600 * SECOND
    assert letter.attempts > 50, "about once an hour"


async def test_an_alert_read_too_late_is_a_dead_letter_without_an_attempt() -> None:
    world = World()
    world.alerts = [record(notice(), 0)]
    world.now_us = T0 + 6 * DAY
    assert await world.live()
    assert [letter.reason for letter in world.dead()] == ["too_old"]
    assert world.mail.attempts == 0


async def test_a_dead_letter_is_tried_again_once_however_often_it_is_asked_for() -> None:
    world = World(Receiver(Failed("550 no such user", "bad_address")))
    world.alerts = [record(notice(), 0)]
    assert await world.live()
    wish = msgspec.json.encode(world.dead()[0].retry("ops", T0))
    world.retries = [RawRecord(n, 0, b"acme", wish) for n in range(2)]
    assert await world.live()
    world.retries.append(RawRecord(2, 0, b"acme", wish))
    assert await world.live()
    assert sum(world.mail.taken.values()) == 1
    assert world.steps()[-1].round == 2
    assert len({s.message_id for s in world.steps()}) == 1
    assert world.desk.deliveries == {}


async def test_a_retry_of_what_nobody_knows_or_of_another_round_changes_nothing() -> None:
    world = World(Receiver(Failed("550", "refused")))
    world.alerts = [record(notice(), 0)]
    assert await world.live()
    strange = [MailRetry("unknown", "acme", 1, "ops", T0), MailRetry(world.dead()[0].delivery_id, "acme", 2, "ops", T0)]
    world.retries = [RawRecord(n, 0, b"acme", msgspec.json.encode(wish)) for n, wish in enumerate(strange)]
    world.retries.append(RawRecord(2, 0, b"acme", b"nonsense"))
    assert await world.live()
    assert world.mail.attempts == 1
    assert world.dead()[-1].reason == "invalid_record"


async def test_law_6_a_dead_letter_is_forgotten_after_a_month() -> None:
    world = World(Receiver(Failed("550", "refused")))
    world.alerts = [record(notice(), 0)]
    assert await world.live()
    assert len(world.desk.deliveries) == 1
    world.now_us += 31 * DAY
    assert await world.live()
    assert world.desk.deliveries == {}
    assert [key for key in world.held if key.startswith(b"d")] == []


async def test_webhooks_are_delivered_beside_mails_each_on_its_own() -> None:
    world = World(mail=Receiver(DOWN, DOWN), hooks=Receiver())
    world.webhooks = {"acme": [HOOK]}
    world.alerts = [record(notice(), 0)]
    assert await world.live()
    assert sum(world.hooks.taken.values()) == 1
    assert sum(world.mail.taken.values()) == 0
    await until_quiet(world)
    assert sum(world.mail.taken.values()) == 1
    assert len(world.to(INTERACTIONS)) == 1, "U9 meters mails"


async def test_u9_a_sent_mail_is_an_alert_event_that_metering_takes_on_the_partition_it_belongs_to() -> None:
    world = World()
    world.alerts = [record(notice(), 0), record(notice("app_stopped", 2, app="helper"), 1)]
    assert await world.live()
    events = [decode(output.value) for output in world.to(INTERACTIONS)]
    assert {(e.type, e.workspace, e.app, e.channel) for e in events} == {
        (ALERT, "acme", ACCOUNT_APP, "email"), (ALERT, "acme", "helper", "email"),
    }  # fmt: skip
    for output, event in zip(world.to(INTERACTIONS), events, strict=True):
        key = interaction_key(event.workspace, event.app, event.channel, event.user)
        assert output.key == key.encode()
        assert output.partition == partition_of(key, POLICY.interaction_partitions)
        assert "@" not in event.user, "no address in the event log"


def test_back_off_doubles_to_an_hour_with_a_jitter_that_belongs_to_the_delivery() -> None:
    policy = RetryPolicy()
    for attempts in range(1, 60):
        delay = policy.delay_us("d1", attempts)
        middle = min(30 * SECOND * 2 ** (attempts - 1), 3600 * SECOND)
        assert abs(delay - middle) <= middle / 5
        assert delay == policy.delay_us("d1", attempts)
    assert len({policy.delay_us(f"d{n}", 3) for n in range(50)}) > 20, "many that failed together come apart"


def test_the_identity_of_a_delivery_is_alert_channel_and_recipient() -> None:
    same = {delivery_id_of("a", "email", "O@x.example"), delivery_id_of("a", "email", "o@X.example")}
    others = {delivery_id_of("b", "email", "o@x.example"), delivery_id_of("a", "webhook", "o@x.example")}
    assert len(same) == 1 and len(same | others) == 3


def test_an_attempt_that_ends_before_its_hand_over_counts_as_one() -> None:
    assert end(delivery(), BUSY, T0, POLICY.retrying).attempts == 1
    assert end(delivery(status="attempting", attempts=1), Accepted("ok"), T0, POLICY.retrying).attempts == 1
