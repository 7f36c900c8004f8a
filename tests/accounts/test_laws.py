"""The laws as properties: split run = whole run, twice = once, replay = state, any order, decide is pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.commands import AdmitLate, Command, InboxRecord
from schemas.units import Origin, Unit, Watermark
from streams.accounts.decide import decide
from streams.accounts.decision import ClockMoved, Moment
from streams.accounts.invariants import broken_laws
from streams.accounts.partition import AccountsPartition
from streams.accounts.snapshot import copy_of, records_of
from streams.accounts.state import AccountState, Clock
from streams.durable.machine import Output
from tests.accounts.histories import POLICY, history
from tests.accounts.story import (
    CENT,
    HOUR,
    T0,
    Story,
    Teller,
    by_workspace,
    create,
    credit,
    funds,
    ledger,
    raw,
)


class _Named(msgspec.Struct):
    origin: Origin


randoms = st.randoms(use_true_random=False)
seeds = st.integers(0, 2**32)


def several_workspaces(seed: int, length: int = 40) -> list[InboxRecord]:
    """A history in which two workspaces alternate; every other one is of one workspace alone.

    What late admissions tell of the ledger (who paid for a unit, U6) would not be true of a part of the history.
    """
    random = Random(seed)
    facts = history(random, length)
    if seed % 2:
        return facts
    return [_elsewhere(fact) if random.random() < 0.3 else fact for fact in facts if not _tells_who_paid(fact)]


def _tells_who_paid(fact: InboxRecord) -> bool:
    return (
        isinstance(fact, Command)
        and isinstance(fact.body, AdmitLate)
        and any(unit.charge is not None for unit in fact.body.units)
    )


def _elsewhere(fact: InboxRecord) -> InboxRecord:
    if isinstance(fact, Watermark):
        return fact
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return type(fact)(**{**fields, "workspace": "globex"})


def copy(state: AccountState) -> AccountState:
    """An account written and read back."""
    return copy_of(state)


def written(state: AccountState) -> dict[bytes, bytes]:
    """An account's bytes."""
    return records_of(state)


@settings(max_examples=150, deadline=None)
@given(seeds, st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_any_cut_and_any_restart_give_the_same_bytes_as_one_run(seed: int, cuts: list[int], restart: bool) -> None:
    """Law 2, law 8: outputs, changelog and checkpoint of a run in pieces, restored in between, equal one run's."""
    records = raw(several_workspaces(seed, 60))
    whole, pieces = AccountsPartition(3, POLICY), AccountsPartition(3, POLICY)
    whole.restored(None)
    pieces.restored(None)
    expected = whole.step(records)
    log: dict[bytes, bytes | None] = {}
    outputs: list[Output] = []
    ends = sorted({0, *cuts, len(records)})
    for first, last in pairwise(ends):
        outputs += pieces.step(records[first:last])
        log.update(pieces.take_changes())
        if restart:
            held, checkpoint = pieces, pieces.checkpoint()
            pieces = AccountsPartition(3, POLICY)
            for key, value in reversed(log.items()):
                if value is not None:
                    pieces.restore(key, value)
            pieces.restored(checkpoint)
            assert {w: written(a) for w, a in pieces.accounts.items()} == {
                w: written(a) for w, a in held.accounts.items()
            }
    assert outputs == expected
    assert pieces.checkpoint() == whole.checkpoint()
    kept = {key: value for key, value in log.items() if value is not None}
    assert kept == {key: value for key, value in whole.take_changes() if value is not None}


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_repeating_any_earlier_fact_at_any_time_changes_nothing(seed: int) -> None:
    """Law 3: no output, no state."""
    random = Random(seed)
    story, told = Story(POLICY), list[InboxRecord]()
    for fact in several_workspaces(seed):
        story.tell(fact)
        told.append(fact)
        before = {workspace: written(account) for workspace, account in story.machine.accounts.items()}
        clock = story.machine.sources.clock
        count = len(story.outputs)
        story.tell(*random.choices(told, k=3))
        assert len(story.outputs) == count
        assert story.machine.sources.clock == clock
        assert {workspace: written(account) for workspace, account in story.machine.accounts.items()} == before


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_all_laws_hold_after_every_fact(seed: int) -> None:
    """L1, L2, L4, C6: conservation, no negative grant, lines sum to zero, chain, sequence, replay = state."""
    story = Story(POLICY)
    for fact in several_workspaces(seed):
        story.tell(fact)
        for workspace, records in by_workspace(story.ledger).items():
            assert broken_laws(story.account(workspace), records) == []


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_deciding_never_changes_the_state_and_says_the_same_twice(seed: int) -> None:
    """The core is a function: decide twice on a state and on its copy, refused and illegal facts included."""
    story = Story(POLICY)
    for fact in several_workspaces(seed, 30):
        clock = story.machine.sources.clock
        question = ClockMoved() if isinstance(fact, Watermark) else fact
        for state in story.machine.accounts.values():
            if isinstance(question, Unit | Command) and question.workspace != state.workspace:
                continue
            moment = Moment(3, story.told, Clock(clock.now_us + HOUR, clock.complete_us + HOUR))
            before = written(state)
            first = decide(state, question, moment, POLICY)
            assert decide(state, question, moment, POLICY) == first
            assert decide(copy(state), question, moment, POLICY) == first
            assert written(state) == before
        story.tell(fact)


def _credit(teller: Teller) -> list[InboxRecord]:
    return [create(), funds(50 * CENT, "f1"), credit(60 * CENT, "g1", T0 + HOUR), funds(75 * CENT, "f2", T0 + 1)]


def _units(random: Random, teller: Teller, apps: Sequence[str]) -> list[Unit]:
    count = random.randrange(1, 25)
    starts = [random.choice((0, 1, HOUR, 47 * HOUR, 48 * HOUR, 49 * HOUR, 70 * HOUR)) for _ in range(count)]
    return [teller.unit(f"u{i}", T0 + starts[i], app=random.choice(apps), source=i) for i in range(count)]


@settings(max_examples=200, deadline=None)
@given(randoms)
def test_what_each_grant_paid_does_not_depend_on_the_order_of_arrival(random: Random) -> None:
    """U5, C3, C5, C9: shared credit, two expiries within the history, no lapse between the arrivals."""
    teller = Teller()
    credits, units = _credit(teller), _units(random, teller, ("bot", "shop"))
    shuffled = random.sample(units, len(units))
    one, other = Story(POLICY), Story(POLICY)
    one.tell(*credits, *units)
    other.tell(*credits, *shuffled)
    ours, theirs = one.account(), other.account()
    assert {k: g.remaining_micros for k, g in ours.grants.items()} == {
        k: g.remaining_micros for k, g in theirs.grants.items()
    }
    assert ours.due_micros == theirs.due_micros
    assert ours.totals["usage:conversation"] == theirs.totals["usage:conversation"]


@settings(max_examples=100, deadline=None)
@given(randoms)
def test_the_total_charged_does_not_depend_on_the_order_of_arrival_whatever_the_credit(random: Random) -> None:
    """U5, C7: with credit mapped to apps too; each unit's charge is its price exactly."""
    teller = Teller()
    credits, units = [*_credit(teller), funds(50 * CENT, "f3", app="shop")], _units(random, teller, ("bot", "shop"))
    totals = []
    for order in (units, random.sample(units, len(units))):
        story = Story(POLICY)
        story.tell(*credits, *order)
        account = story.account()
        used = sum(grant.amount_micros - grant.remaining_micros for grant in account.grants.values())
        assert used + account.due_micros == account.totals["usage:conversation"]
        totals.append(account.totals["usage:conversation"])
    assert totals[0] == totals[1] == sum(POLICY.price_micros("conversation", unit.start_us) for unit in units)


@settings(max_examples=150, deadline=None)
@given(randoms)
def test_reversing_everything_returns_every_grant_to_where_it_was(random: Random) -> None:
    """C8: in any order, credit added before or after the units, settled dues included."""
    teller = Teller()
    credits = [*_credit(teller), funds(50 * CENT, "f3", app="shop")]
    units = _units(random, teller, ("bot", "shop"))
    facts: list[InboxRecord] = [*credits[1:], *units]
    random.shuffle(facts)
    story = Story(POLICY)
    story.tell(credits[0], *facts)
    back = random.sample(units, len(units))
    story.tell(*(teller.unit(u.unit_id, u.start_us, "retracted", app=u.app, source=100) for u in back))
    account = story.account()
    assert all(grant.remaining_micros == grant.amount_micros for grant in account.grants.values())
    assert len(account.grants) == 5
    assert account.due_micros == 0
    assert account.totals["usage:conversation"] == 0
    assert not account.open and not account.buckets and not account.owing


@settings(max_examples=80, deadline=None)
@given(randoms)
def test_reversing_everything_after_a_lapse_returns_every_grant_but_what_lapsed(random: Random) -> None:
    """C8, C3: what can still change is given back, what lapsed stays lapsed, and nothing is lost between them."""
    teller = Teller()
    credits, units = _credit(teller), _units(random, teller, ("bot", "shop"))
    story = Story(POLICY)
    story.tell(*credits, *units)
    given_ = {account: grant.amount_micros for account, grant in story.account().grants.items()}
    free = {account for account, grant in story.account().grants.items() if grant.credit == "free"}
    lapse = teller.clock(T0 + 49 * HOUR, HOUR, source=0, of=1)
    held = [unit for unit in units if unit.start_us >= T0 + 48 * HOUR]
    story.tell(msgspec.structs.replace(lapse, origin=msgspec.structs.replace(lapse.origin, offset=10**6)))
    story.tell(*(teller.unit(u.unit_id, u.start_us, "retracted", app=u.app, source=100) for u in held))
    gone = [unit for unit in units if unit.start_us < T0 + 48 * HOUR]
    spent = sum(POLICY.price_micros("conversation", unit.start_us) for unit in gone)
    account = story.account()
    lapsed = account.totals.get("lapsed", 0)
    left = sum(grant.remaining_micros for grant in account.grants.values())
    assert sum(given_.values()) == left + lapsed + spent - account.due_micros
    assert account.totals["usage:conversation"] == spent
    assert all(account.balance(name) == 0 for name in free if name == "grant:acme/welcome")
    assert not account.open


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_each_input_leaves_at_most_one_record_per_workspace(seed: int) -> None:
    """Law 4, law 7: and every input is counted once; outputs of one input are numbered without gaps (law 2)."""
    story = Story(POLICY)
    facts = several_workspaces(seed)
    for fact in facts:
        before = len(story.outputs)
        records = story.tell(fact)
        assert len({record.workspace for record in records}) == len(records)
        origins = [msgspec.json.decode(output.value or b"", type=_Named).origin for output in story.outputs[before:]]
        if not story.asides:
            assert sorted(origin.index for origin in origins) == list(range(len(origins)))
        assert {origin.offset for origin in origins} <= {story.told - 1}
    assert sum(story.machine.counts.values()) == len(facts)
    assert len(ledger(story.outputs)) >= story.machine.counts.get("posted", 0)
