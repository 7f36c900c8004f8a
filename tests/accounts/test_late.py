"""Late events that an operator bills after all (U6): priced as any unit, once each, and never in an open time."""

from __future__ import annotations

import pytest

from schemas.changes import LateAdmitted, LateEvent, LateUnit
from schemas.commands import AdmitLate, Command, CommandBody, CreateApp, PublishApp, Subscribe
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Story, Teller, amounts, command, create, funds
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
