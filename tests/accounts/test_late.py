"""Late events that an operator bills after all (U6): priced as any unit, once each, and never in an open time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from schemas.changes import Contract, LateAdmitted, LateCharge, LateEvent, LatePart, LateUnit
from schemas.commands import AdmitLate, ApproveUpgrade, Command, CommandBody, CreateApp, PublishApp, Subscribe
from schemas.errors import excerpt
from streams.accounts.policy import policy_of
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, amounts, catalog, command, create, funds
from tests.accounts.test_plans import SMALL

BEGIN = T0 + DAY
NOW = T0 + 10 * DAY
E1, E2 = LateEvent("/gateways/one", "e1", 0, 17), LateEvent("/gateways/one", "e2", 0, 18)


def unit(number: int, start_us: int = BEGIN, kind: str = "conversation", delta: int = 1, billable: int = 1) -> LateUnit:
    return LateUnit(f"late-{number}", kind, start_us, delta, billable)  # type: ignore[arg-type]


def admit(*units: LateUnit, events: tuple[LateEvent, ...] = (E1,), after: int = 0, app: str = "bot") -> Command:
    """By an operator, with an id of its own."""
    admit.count = getattr(admit, "count", 0) + 1  # type: ignore[attr-defined]
    body: CommandBody = AdmitLate(app, "web", "ann", events, units, after, "a gateway was down")
    return command(f"late-{admit.count}", body, NOW, "operator")  # type: ignore[attr-defined]


def closed() -> tuple[Story, Teller]:
    """A workspace whose first ten days are closed."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(NOW + DAY))
    return story, teller


def test_the_units_of_late_events_are_charged_and_the_record_names_actor_events_and_reason() -> None:
    """U6, P1, L1: a session beside the conversation, which Standard does not charge, and one that is free."""
    story, _ = closed()
    given = admit(unit(1), unit(2, kind="session"), unit(3, BEGIN + HOUR, billable=0), events=(E1, E2))
    (record,) = story.tell(given)
    assert (record.kind, record.actor, record.cause, record.note) == (
        "late_admitted", "operator:olga", given.command_id, "a gateway was down"
    )  # fmt: skip
    assert amounts(record) == [("usage:conversation", 20 * CENT), ("welcome", -20 * CENT)]
    charges = [(charge.unit_id, charge.start_us, charge.plan) for charge in record.charges]
    assert charges == [("late-1", BEGIN, "standard")]
    (admitted,) = [change for change in record.changes if isinstance(change, LateAdmitted)]
    assert (admitted.user, admitted.events, [one.unit_id for one in admitted.units]) == (
        "ann", (E1, E2), ["late-1", "late-2", "late-3"]
    )  # fmt: skip
    assert story.tell(given) == [], "the same again is no news"


def test_an_event_is_admitted_once_whatever_the_commands_id() -> None:
    """U6, U7."""
    story, _ = closed()
    first = admit(unit(1))
    story.tell(first)
    (again,) = story.tell(admit(unit(2), events=(E2, E1), after=1))
    assert again.note == f"events: interactions-0-17 was admitted before, by command {first.command_id} (U6)."
    (other,) = story.tell(admit(unit(2, BEGIN + HOUR), events=(E2,), after=1))
    assert other.kind == "late_admitted"


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (admit(unit(1), after=1), "after: 0 late events are admitted by now, not 1; count what is added anew (U5)."),
        (admit(unit(1), events=(E1, E1)), "events: interactions-0-17 is named twice (U7)."),
        (admit(unit(1), unit(1)), "units: conversation late-1 is named twice (U7)."),
        (admit(unit(1, NOW + DAY)),
         "units: the conversation of 2026-01-12T00:00:00Z lies in a time that is not closed yet (U11)."),
        (admit(unit(1, delta=0, billable=0)), "units: the conversation of 2026-01-02T00:00:00Z changes nothing (U6)."),
    ],
)  # fmt: skip
def test_what_cannot_be_admitted_is_refused(given: Command, note: str) -> None:
    """U5, U6, U7, U11."""
    story, _ = closed()
    (record,) = story.tell(given)
    assert (record.kind, record.note) == ("command_refused", note)


def test_a_late_charge_uses_no_lapsed_credit() -> None:
    """C9, C6: the free credit that it would have used in time has lapsed; the rest is owed until it is paid."""
    story, teller = Story(), Teller()
    story.tell(create(), teller.clock(T0 + 100 * DAY))
    (record,) = story.tell(admit(unit(1)))
    assert amounts(record) == [("usage:conversation", 20 * CENT), ("due:bot", -20 * CENT)]
    (paid,) = story.tell(funds(100 * USD, "f", NOW + DAY))
    assert amounts(paid)[2:] == [("due:bot", 20 * CENT), ("payment/pay-f", -20 * CENT)]


def test_included_units_are_taken_one_by_one_within_a_record() -> None:
    """P4, U10: two are included; of three late conversations of the term the newest is charged."""
    story, teller = Story(SMALL), Teller()
    bodies: tuple[CommandBody, ...] = (CreateApp("bot"), PublishApp("bot"), Subscribe("bot", "essential", "monthly"))
    story.tell(create(), *(command(f"b{n}", body, T0, "operator") for n, body in enumerate(bodies)))
    story.tell(teller.clock(NOW + DAY))
    (record,) = story.tell(admit(*(unit(n, BEGIN + n * HOUR) for n in (3, 1, 2))))
    assert [(charge.unit_id, charge.covered) for charge in record.charges] == [
        ("late-1", "included"), ("late-2", "included"), ("late-3", "")
    ]  # fmt: skip


GRANT = LatePart("acme/welcome", "free", 500 * USD, T0, 20 * CENT, T0 + 90 * DAY)
PAID = LateCharge(BEGIN, 20 * CENT, "standard", parts=(GRANT,))


def counted(late: int = DAY) -> tuple[Story, Teller]:
    """Two conversations that METER counted an hour apart, each charged; ten days are closed."""
    story, teller = Story(), Teller()
    story.tell(create(), *(teller.unit(f"u{n}", BEGIN + n * HOUR) for n in range(2)), teller.clock(NOW + late, late))
    return story, teller


def gone(unit_id: str = "u0", start_us: int = BEGIN, charge: LateCharge | None = PAID) -> LateUnit:
    return LateUnit(unit_id, "conversation", start_us, -1, -1, charge=charge)


def moved(start_us: int, charge: LateCharge | None = PAID) -> LateUnit:
    return LateUnit("u0", "conversation", start_us, 0, 0, BEGIN, stays_billable=True, charge=charge)


def test_what_a_unit_cost_that_is_joined_to_another_returns_to_who_paid() -> None:
    """U5, C8: METER's unit was final and its charge forgotten; the ledger record names who admitted what and why."""
    story, teller = counted()
    assert not story.account().open
    given = admit(gone("u1", BEGIN + HOUR, replace(PAID, start_us=BEGIN + HOUR)))
    (record,) = story.tell(given)
    assert amounts(record) == [("usage:conversation", -20 * CENT), ("welcome", 20 * CENT)]
    assert [(charge.unit_id, charge.reversed) for charge in record.charges] == [("u1", True)]
    assert (record.actor, record.note) == ("operator:olga", "a gateway was down")
    assert story.tell(given, teller.unit("u1", BEGIN + HOUR, "closed")) == [], "told again, or closed: no news"


def test_a_unit_that_only_moves_or_grows_keeps_its_charge() -> None:
    """U1, U6: a start some minutes earlier; an event that changes no unit is counted."""
    story, _ = counted()
    (record,) = story.tell(admit(moved(BEGIN + 60 * USD)))
    assert (record.kind, record.charges, record.lines) == ("late_admitted", (), ())
    (record,) = story.tell(admit(events=(E2,), after=1))
    assert (record.kind, record.charges) == ("late_admitted", ())
    assert story.account().admitted.keys() == {"interactions-0-17", "interactions-0-18"}


def test_what_returns_to_credit_that_has_lapsed_lapses_at_once() -> None:
    """C8, C9: and a unit that comes in its place pays with what is there now."""
    story, teller = counted()
    story.tell(teller.clock(T0 + 100 * DAY), funds(100 * USD, "f", NOW))
    (record,) = story.tell(admit(gone(), unit(1, BEGIN + 2 * HOUR)))
    assert amounts(record) == [
        ("usage:conversation", -20 * CENT), ("welcome", 20 * CENT), ("lapsed", 20 * CENT), ("welcome", -20 * CENT),
        ("usage:conversation", 20 * CENT), ("payment/pay-f", -20 * CENT),
    ]  # fmt: skip


def test_credit_that_was_used_up_and_forgotten_gets_back_what_it_paid() -> None:
    """C8, law 6: the account has forgotten the grant; who gives the command tells it from the ledger."""
    story, teller = Story(policy_of(catalog(free_credit={"usd": "0.30"}))), Teller()
    story.tell(create(), *(teller.unit(f"u{n}", BEGIN + n * HOUR) for n in range(2)), funds(100 * USD, "f", BEGIN))
    story.tell(teller.clock(NOW + DAY))
    assert list(story.account().grants) == ["grant:acme/payment/pay-f"]
    welcome = replace(GRANT, given_micros=30 * CENT)
    (record,) = story.tell(admit(gone(charge=replace(PAID, parts=(welcome,)))))
    assert amounts(record)[:2] == [("usage:conversation", -20 * CENT), ("welcome", 20 * CENT)]
    assert record.balances.free_micros == 20 * CENT
    (used,) = story.tell(teller.unit("u9", NOW + DAY))
    assert amounts(used)[1] == ("welcome", -20 * CENT), "free before paid (C5)"


def test_a_place_that_comes_free_goes_to_what_takes_its_place_first() -> None:
    """P4: and then to the oldest open charge of that term past the included ones."""
    story, teller = Story(SMALL), Teller()
    bodies: tuple[CommandBody, ...] = (CreateApp("bot"), PublishApp("bot"), Subscribe("bot", "essential", "monthly"))
    story.tell(create(), *(command(f"b{n}", body, T0, "operator") for n, body in enumerate(bodies)))
    story.tell(*(teller.unit(f"u{n}", BEGIN + n * HOUR) for n in range(2)), teller.clock(BEGIN + 2 * DAY))
    (past,) = story.tell(teller.unit("u9", BEGIN + 2 * DAY))
    assert past.charges[0].covered == ""
    included = LateCharge(BEGIN, 0, "essential", "included", story.ledger[4].charges[0].pool)
    (record,) = story.tell(admit(gone(charge=included), gone("u1", BEGIN + HOUR, included), unit(1)))
    assert [(charge.unit_id, charge.reversed, charge.covered) for charge in record.charges] == [
        ("u0", True, "included"), ("u1", True, "included"), ("u9", True, ""), ("u9", False, "included"),
        ("late-1", False, "included"),
    ]  # fmt: skip


def test_what_comes_is_paid_by_what_a_place_that_came_free_gives_back() -> None:
    """C6, P4: a unit from before the subscription comes, one within it goes; nothing is owed beside credit."""
    credit = {"usd": "0.20"}
    plans = [{"id": "essential", "offers": [
        {"period": "monthly", "from": "2000-01-01T00:00:00Z", "fee_usd": "50", "included": 1},
    ]}]  # fmt: skip
    story, teller = Story(policy_of(catalog(free_credit=credit, plans=plans))), Teller()
    bodies: tuple[CommandBody, ...] = (CreateApp("bot"), PublishApp("bot"))
    story.tell(create(), *(command(f"b{n}", body, T0, "operator") for n, body in enumerate(bodies)))
    story.tell(command("sub", Subscribe("bot", "essential", "monthly"), BEGIN + DAY, "operator"))
    within = BEGIN + 2 * DAY
    (free,) = story.tell(teller.unit("u0", within), teller.clock(within + 2 * DAY))
    (past,) = story.tell(teller.unit("u9", within + 2 * DAY))
    assert (free.charges[0].covered, amounts(past)[1]) == ("included", ("welcome", -20 * CENT))
    included = LateCharge(within, 0, "essential", "included", free.charges[0].pool)
    (record,) = story.tell(admit(gone("u0", within, included), unit(1)))
    assert amounts(record) == [
        ("usage:conversation", 0), ("usage:conversation", -20 * CENT), ("welcome", 20 * CENT),
        ("usage:conversation", 0), ("usage:conversation", 20 * CENT), ("welcome", -20 * CENT),
    ]  # fmt: skip
    assert (record.balances.free_micros, record.balances.due_micros) == (0, 0)


OVER = (GRANT, replace(GRANT, grant_id="acme/grant/create", given_micros=10 * CENT, paid_micros=20 * CENT))


@pytest.mark.parametrize(
    ("units", "note"),
    [
        ([gone(charge=None)], "cannot have no charge; count it anew (U10)."),
        ([gone(charge=replace(PAID, plan="silver"))], "cannot cost USD 0.20 on plan silver; count it anew (P1)."),
        ([gone(charge=replace(PAID, price_micros=1))],
         "cannot cost USD 0.000001 on plan standard; count it anew (P1)."),
        ([gone(charge=replace(PAID, parts=()))],
         "costs USD 0.20, of which credit is known to have paid USD 0.00 (C6, C8)."),
        ([gone(charge=replace(PAID, parts=(replace(GRANT, granted_us=T0 + 1),)))],
         "units: grant acme/welcome is another one than was counted; count anew (C8)."),
        ([gone(charge=replace(PAID, parts=(replace(OVER[1], grant_id="globex/old", paid_micros=200_000),)))],
         "units: grant globex/old is another one than was counted; count anew (C8)."),
        ([gone(charge=replace(PAID, parts=(replace(GRANT, grant_id="acme/payment/never", credit="paid"),)))],
         "units: grant acme/payment/never is another one than was counted; count anew (C8)."),
        ([gone(charge=replace(PAID, parts=(replace(GRANT, grant_id="acme/grant/never"),)))],
         "units: grant acme/grant/never is another one than was counted; count anew (C8)."),
        ([gone(), gone("u1", BEGIN, replace(PAID, parts=(OVER[1],)))],
         "units: grant acme/grant/create would hold more than it was given (L1)."),
        ([replace(gone(), from_us=BEGIN + HOUR)],
         "becomes what no unit becomes: it comes, goes, or moves within its day (U5)."),
        ([moved(BEGIN - 1)], "becomes what no unit becomes: it comes, goes, or moves within its day (U5)."),
        ([LateUnit("u0", "session", BEGIN, -1, -1, charge=PAID)], "cannot have a charge; count it anew (U10)."),
    ],
)  # fmt: skip
def test_what_is_told_of_a_unit_must_be_what_it_can_have_cost(units: list[LateUnit], note: str) -> None:
    """P1, U10, C6, C8, L1: nothing is given back on a mistaken word."""
    story, _ = counted()
    (record,) = story.tell(admit(*units))
    assert record.kind == "command_refused"
    assert record.note.endswith(note)


def test_nothing_is_admitted_that_an_event_in_time_could_still_touch() -> None:
    """U11: METER would go on from what it knows, and the units be billed twice."""
    story, _ = counted()
    complete = story.machine.sources.clock.complete_us
    (record,) = story.tell(replace(admit(gone()), body=replace(admit(gone()).body, until_us=complete)))
    assert record.note == "until: events up to 2026-01-11T00:00:00Z may still arrive and change the units (U11)."
    (record,) = story.tell(replace(admit(gone()), body=replace(admit(gone()).body, until_us=complete - 1)))
    assert record.kind == "late_admitted"


HUGE, FAR = 10**30, 4 * 10**18


def told(**facts: object) -> LateUnit:
    """A unit that goes, paid by a grant that the account does not know."""
    return gone(charge=replace(PAID, parts=(replace(GRANT, **{"grant_id": "acme/old", **facts}),)))


def up_to(until_us: int) -> Command:
    given = admit(gone())
    return replace(given, body=replace(given.body, until_us=until_us))


MANY = tuple(replace(GRANT, grant_id=f"acme/old/{n:02d}", paid_micros=CENT) for n in range(20))


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (admit(unit(1, FAR)), f"start_us: {FAR} is implausible; it must lie between 2000 and 2500 (U6)."),
        (admit(unit(1, 0)), "start_us: 0 is implausible; it must lie between 2000 and 2500 (U6)."),
        (admit(told(given_micros=HUGE)), "body: a number is beyond 64 bits (C7)."),
        (admit(replace(moved(BEGIN), from_us=FAR)),
         f"from_us: {FAR} is implausible; it must lie between 2000 and 2500 (U6)."),
        (admit(gone(charge=replace(PAID, start_us=FAR))),
         f"charge.start_us: {FAR} is implausible; it must lie between 2000 and 2500 (U6)."),
        (up_to(FAR), f"until_us: {FAR} is implausible; it must lie between 2000 and 2500 (U6)."),
        (admit(told(given_micros=2**63)), f"given_micros: {2**63} is implausible (C7)."),
        (admit(told(granted_us=2**63)), f"granted_us: {2**63} is implausible (C7)."),
        (admit(told(expires_us=2**62)), f"expires_us: {2**62} is implausible (C7)."),
        (admit(gone(), events=(replace(E1, offset=2**63),)), f"offset: {2**63} is implausible (C7)."),
        (admit(told(grant_id="acme/" + 246 * "x")),
         f"grant_id: {excerpt('acme/' + 246 * 'x')} is longer than an account's name can be (L1)."),
        (admit(*(gone(f"u{n}", charge=replace(PAID, parts=MANY)) for n in range(100))),
         "body: 314976 bytes are more than 131072; admit fewer events at once (U6)."),
    ],
)  # fmt: skip
def test_what_the_account_or_its_readers_could_not_hold_is_refused_and_stops_nothing(given: Command, note: str) -> None:
    """Law 7: an instant that no calendar shows, a number that no changelog takes, a record that no broker takes."""
    story, _ = counted()
    (record,) = story.tell(given)
    assert list(story.machine.take_changes()), "and the account can be written down"
    assert (record.kind, record.note) == ("command_refused", note)


def test_a_term_that_is_told_wrongly_is_refused_where_older_terms_are_forgotten() -> None:
    """P4, law 7: what stands for a term's start need not be a number."""
    story, teller = Story(), Teller()
    contract = ApproveUpgrade(Contract(0, 9, "monthly", "block"))
    story.tell(create(), command("up", contract, T0, "operator"))
    for month in range(6):
        story.tell(teller.unit(f"u{month}", BEGIN + month * 31 * DAY, kind="session"))
    story.tell(teller.clock(BEGIN + 160 * DAY))
    assert len(story.account().used) == 5, "of January, which February followed, more than 92 days before June"
    late = BEGIN + 100 * DAY
    charge = LateCharge(late, 0, "enterprise", "included", "@x")
    (record,) = story.tell(admit(LateUnit("u3", "session", late, -1, -1, charge=charge)))
    assert record.note.endswith("cannot cost USD 0.00 on plan enterprise; count it anew (P1).")
