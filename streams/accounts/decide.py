"""`decide(state, fact, moment, policy) -> Decision`: what follows from one fact; never changes the state."""

from __future__ import annotations

from schemas.commands import Command
from schemas.units import Unit
from streams.accounts.charging import decide_unit
from streams.accounts.clocking import decide_clock
from streams.accounts.commanding import decide_command
from streams.accounts.decision import ClockMoved, Decision, Moment
from streams.accounts.policy import Policy
from streams.accounts.state import AccountState

Fact = Unit | Command | ClockMoved


def decide(state: AccountState, fact: Fact, moment: Moment, policy: Policy) -> Decision:
    """What follows for a workspace from a unit, a command or the clock; at most one ledger record (law 4)."""
    if isinstance(fact, Unit):
        return decide_unit(state, fact, moment, policy)
    if isinstance(fact, Command):
        return decide_command(state, fact, moment, policy)
    return decide_clock(state, moment, policy)
