"""The small world, gone on with: paid credit, shared and of one app, credit that lapses, a split charge, a charge that
nobody can pay, its settlement, and a charge taken back. In March and April 2026.

| record | at | what | free | shared | helper's | due |
| --- | --- | --- | --- | --- | --- | --- |
| 3 | 9 February | after the small world | 499.60 | 0 | 0 | 0 |
| 4 | 30 March 23:50 | free credit lapses | 0 | 0 | 0 | 0 |
| 5 | 1 April 23:50 | bot talks, nobody pays | 0 | 0 | 0 | 0.20 |
| 6 | 2 April 23:50 | 100 added, settles 0.20 | 0 | 99.80 | 0 | 0 |
| 7 | 2 April 23:50 | 100 added for helper | 0 | 99.80 | 100 | 0 |
| 8 | 2 April 23:50 | 0.10 of free credit granted | 0.10 | 99.80 | 100 | 0 |
| 9 | 3 April 23:50 | bot talks: 0.10 free, 0.10 shared | 0 | 99.70 | 100 | 0 |
| 10 | 4 April 23:50 | helper talks on whatsapp | 0 | 99.70 | 99.80 | 0 |
| 11 | 5 April 22:30 | helper talks on whatsapp | 0 | 99.70 | 99.60 | 0 |
| 12 | 4 April 23:50 | the charge of record 10 is taken back | 0 | 99.70 | 99.80 | 0 |
"""

from __future__ import annotations

from schemas.ledger import Charge, GrantOpened
from schemas.units import Unit
from tests.projections.small_world import DAY, EVE, GIVEN, GRANT, MINUTE, PRICE, World, small_world

LAPSE = EVE + 89 * DAY
APRIL_1 = EVE + 91 * DAY
HALF = PRICE // 2
FUNDS = 100_000_000
SHARED, OF_APP, SMALL = "acme/payment/p1", "acme/payment/p2", "acme/grant/c1"


def funded_world() -> World:
    """The whole history; its tables are as in the docstring above."""
    world = small_world()
    left = GIVEN - 2 * PRICE
    world.entry("lapse", LAPSE, (("lapsed", left), (f"grant:{GRANT}", -left)))
    world.charge(talk(world, APRIL_1, "q1", "bot", "web"), (("due:bot", PRICE),))
    credit(world, GrantOpened(SHARED, "paid", FUNDS, APRIL_1 + DAY), settles=PRICE)
    credit(world, GrantOpened(OF_APP, "paid", FUNDS, APRIL_1 + DAY, app="helper"))
    credit(world, GrantOpened(SMALL, "free", HALF, APRIL_1 + DAY, APRIL_1 + 91 * DAY))
    split = talk(world, APRIL_1 + 2 * DAY, "q2", "bot", "web")
    world.charge(split, ((f"grant:{SMALL}", HALF), (f"grant:{SHARED}", HALF)))
    gone = talk(world, APRIL_1 + 3 * DAY, "q3", "helper", "whatsapp")
    world.charge(gone, ((f"grant:{OF_APP}", PRICE),))
    last = talk(world, APRIL_1 + 4 * DAY - 80 * MINUTE, "q4", "helper", "whatsapp")
    world.charge(last, ((f"grant:{OF_APP}", PRICE),))
    taken = Charge(gone.unit_id, gone.kind, gone.app, gone.channel, gone.start_us, PRICE, "standard", reversed=True)
    lines = (("usage:conversation", -PRICE), (f"grant:{OF_APP}", PRICE))
    world.entry("reversal", gone.start_us, lines, charges=(taken,))
    return world


def talk(world: World, time_us: int, id: str, app: str, channel: str) -> Unit:
    """An event, and the conversation and session that it opens."""
    offset = world.event(time_us, id, app=app, channel=channel)
    conversation = world.unit(offset, "conversation", time_us, billable=True, app=app, channel=channel)
    world.unit(offset, "session", time_us, billable=True, part_of=conversation, app=app, channel=channel)
    return conversation


def credit(world: World, grant: GrantOpened, settles: int = 0) -> None:
    """Credit that is given, and what it settles of what bot owes."""
    account = f"grant:{grant.grant_id}"
    lines = [(f"issued:{grant.credit}", -grant.amount_micros), (account, grant.amount_micros)]
    if settles:
        lines += [("due:bot", settles), (account, -settles)]
    world.entry("credit_added", grant.granted_us, tuple(lines), grants=(grant,))
