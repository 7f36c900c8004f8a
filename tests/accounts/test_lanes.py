"""The hot path and the packed accounts: whatever way an account is held, the same bytes come out."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.commands import CreateApp, GrantCredit, InboxRecord, PublishApp, SetAlerts
from schemas.topics import LEDGER, REJECTED
from streams.accounts.invariants import broken_laws
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import policy_of
from streams.accounts.records import FORMAT, CorruptState
from streams.accounts.shelf import Shelf
from streams.accounts.snapshot import records_of
from streams.durable.machine import Output
from tests.accounts.story import CENT, DAY, HOUR, T0, USD, Teller, by_workspace, catalog, command, funds, ledger, raw

RICH = policy_of(catalog(free_credit={"usd": "12", "days": 3}, alerts={"low_balance_usd": "2", "expiring_days": [1]}))
NAMES = ("acme", 'quo"ted \\ ä/1', "globex")
seeds = st.integers(0, 2**32)
Changelog = dict[bytes, bytes | None]


def busy(seed: int, length: int = 120, rare: float = 0.1) -> list[InboxRecord]:
    """Mostly ordinary charges: some late, some corrected, apps with credit of their own, clocks that expire credit."""
    random, teller, now = Random(seed), Teller(), T0
    facts: list[InboxRecord] = []
    known: list[tuple[str, int, str, str, str]] = []
    for at in range(length):
        now += random.choice((1, 1000, HOUR // 20, HOUR // 2))
        what, name, app = random.random(), random.choice(NAMES), random.choice(("bot", "bot", 'sh"op', "own"))
        if what < rare / 2:
            facts.append(teller.clock(now - random.choice((0, HOUR)), 6 * HOUR))
        elif what < rare:
            body = random.choice((GrantCredit(random.choice((1, 3)) * USD, "x"), CreateApp("own"), PublishApp("own")))
            added = funds(100 * USD, f"f{at}", now, "own", "operator")
            facts.append(random.choice((command(f"c{at}", body, now, "operator", name), added)))
        elif what < rare * 2 and known:
            unit_id, start, name, app, kind = random.choice(known)
            change = random.choice(("revised", "retracted", "closed"))
            start += random.choice((0, 0, 1, HOUR))
            facts.append(teller.unit(unit_id, start, change, app=app, workspace=name, kind=kind))
        else:
            start = now - random.choice((0, 0, 0, 1, HOUR, 7 * HOUR, DAY))
            kind = random.choice(("conversation", "conversation", "conversation", "session"))
            known.append((f"u{at}", start, name, app, kind))
            heard = random.random() < 0.9
            facts.append(teller.unit(f"u{at}", start, app=app, workspace=name, billable=heard, kind=kind))
    return facts


def held_small(machine: AccountsPartition) -> AccountsPartition:
    """Accounts packed again as soon as may be."""
    machine.shelf.warm_accounts = 1
    machine.restored(None)
    return machine


def content(machine: AccountsPartition) -> dict[str, dict[bytes, bytes]]:
    """All accounts, as bytes."""
    return {name: records_of(account) for name, account in sorted(machine.accounts.items())}


@settings(max_examples=70, deadline=None)
@given(seeds, st.integers(1, 40))
def test_the_lane_gives_what_deciding_in_full_gives(seed: int, batch: int) -> None:
    """Laws 2 and 4, C5, U5: the same outputs to the byte, chain included, and the same accounts."""
    records = raw(busy(seed))
    lanes, full = held_small(AccountsPartition(3, RICH)), held_small(AccountsPartition(3, RICH, in_lanes=False))
    for first in range(0, len(records), batch):
        assert lanes.step(records[first : first + batch]) == full.step(records[first : first + batch])
        assert content(lanes) == content(full)
        lanes.take_changes()
    assert lanes.outcome_counts() == full.outcome_counts()


def test_most_charges_are_ordinary() -> None:
    """Else the tests here would show nothing: they change no account's own record."""
    machine, snapshots = held_small(AccountsPartition(3, RICH)), 0
    records = raw(busy(1, 400, rare=0.02))
    for record in records:
        machine.step([record])
        snapshots += sum(key.startswith(b"w/") for key, _ in machine.take_changes())
    assert 0 < snapshots < len(records) / 2


@settings(max_examples=80, deadline=None)
@given(seeds, st.lists(st.integers(0, 300), max_size=12))
def test_recovery_from_snapshots_and_what_came_since_gives_the_state(seed: int, cuts: list[int]) -> None:
    """Laws 2 and 8: any cut; the records of the changelog are the same however the run was cut, and so are accounts."""
    records = raw(busy(seed, 300, rare=0.05))
    whole = held_small(AccountsPartition(3, RICH))
    expected = whole.step(records)
    machine, log, outputs = held_small(AccountsPartition(3, RICH)), Changelog(), list[Output]()
    ends = sorted({0, *cuts, len(records)})
    for first, last in pairwise(ends):
        outputs += machine.step(records[first:last])
        log.update(machine.take_changes())
        machine = restored(log, machine.checkpoint(), seed)
    assert outputs == expected
    assert content(machine) == content(whole)
    assert kept(log) == kept(dict(whole.take_changes()))


def restored(log: Changelog, checkpoint: bytes, seed: int = 0) -> AccountsPartition:
    """A machine from a changelog, its records in any order."""
    machine = AccountsPartition(3, RICH)
    machine.shelf.warm_accounts = 1
    entries = list(kept(log).items())
    Random(seed).shuffle(entries)
    for key, value in entries:
        machine.restore(key, value)
    machine.restored(checkpoint)
    return machine


def kept(log: Changelog) -> dict[bytes, bytes]:
    """What compaction keeps."""
    return {key: value for key, value in log.items() if value is not None}


def told(records: list[InboxRecord]) -> tuple[Changelog, bytes]:
    """The changelog of a run, and its checkpoint."""
    machine = held_small(AccountsPartition(3, RICH))
    machine.step(raw(records))
    return dict(machine.take_changes()), machine.checkpoint()


def test_a_flipped_bit_anywhere_in_the_changelog_is_refused() -> None:
    """L2, law 8: the sentence names the record; nothing goes on from a wrong balance."""
    log, checkpoint = told(busy(7, 60))
    random = Random(7)
    for key, value in kept(log).items():
        at = random.randrange(len(value))
        broken = value[:at] + bytes((value[at] ^ 1 << random.randrange(8),)) + value[at + 1 :]
        with pytest.raises(CorruptState, match="changelog record b"):
            restored({**log, key: broken}, checkpoint)
    assert len(kept(log)) > 10


def test_records_that_were_exchanged_are_refused() -> None:
    """A checksum covers the key, too."""
    log, checkpoint = told(busy(7, 60))
    first, second = sorted(key for key in kept(log) if key.startswith(b"l/"))[:2]
    with pytest.raises(CorruptState, match="damaged"):
        restored({**log, first: log[second], second: log[first]}, checkpoint)


@pytest.mark.parametrize("kind", [b"w/", b"l/"])
def test_a_missing_record_is_refused(kind: bytes) -> None:
    """A snapshot without what came since, and the other way round."""
    log, checkpoint = told([Teller().unit("u1"), Teller().unit("u2", T0 + 1, source=1)])
    lost = next(key for key in log if key.startswith(kind))
    with pytest.raises(CorruptState, match=r"restore accounts\.changelog"):
        restored({**log, lost: None}, checkpoint)


@pytest.mark.parametrize("found", [b"", bytes((FORMAT + 1,)) + b"12345", bytes((FORMAT,))])
def test_another_format_is_refused_and_says_what_to_do(found: bytes) -> None:
    """A version that came later, or nothing that a version wrote."""
    with pytest.raises(CorruptState, match=f"this version reads format {FORMAT}: run the version|checksum"):
        AccountsPartition(3, RICH).restore(b"w/acme", found)
    with pytest.raises(CorruptState, match="position record"):
        AccountsPartition(3, RICH).restored(b"\x96" + found)


def test_a_page_that_a_paused_worker_wrote_late_goes() -> None:
    """Law 6: its bucket was final, and its tombstone has been compacted away."""
    teller = Teller()
    machine = held_small(AccountsPartition(3, RICH))
    machine.step(raw([teller.unit("u1")]))
    old = {key: value for key, value in machine.take_changes() if key.startswith(b"o/")}
    machine.step(raw([teller.clock(T0 + DAY, HOUR)], 1))
    log = {**dict(machine.take_changes())}
    assert [log[key] for key in old] == [None]
    again = restored({**log, **old, **_account_of(machine)}, machine.checkpoint())
    assert content(again) == content(machine)
    assert dict(again.take_changes()) == dict.fromkeys(old)


def test_a_lane_that_a_paused_worker_wrote_late_is_passed_over() -> None:
    """Laws 2 and 8: the account has left its lane for good, and the lane's tombstone has been compacted away."""
    teller = Teller()
    machine = held_small(AccountsPartition(3, RICH))
    machine.step(raw([teller.unit("u1"), teller.unit("u2", T0 + 1)]))
    log = dict(machine.take_changes())
    lane = {key: value for key, value in log.items() if key.startswith(b"l/")}
    assert len(lane) == 1
    machine.step(raw([teller.unit("u3", T0 + 2), command("c", SetAlerts((2 * USD,), ()), T0, "operator")], 2))
    log |= dict(machine.take_changes())
    assert [log[key] for key in lane] == [None]
    again = restored({**log, **lane}, machine.checkpoint())
    assert content(again) == content(machine)
    more = raw([teller.unit("u4", T0 + 3)], 4)
    assert again.step(more) == machine.step(more)


def test_a_unit_that_starts_just_before_the_clock_is_final_whatever_way_the_account_is_held() -> None:
    """U11, law 6: at `complete` it is an ordinary charge, a microsecond before it its charge is not kept open."""
    complete = T0 + HOUR
    for in_lanes in (True, False):
        teller, machine = Teller(), held_small(AccountsPartition(3, RICH, in_lanes=in_lanes))
        units: list[InboxRecord] = [teller.unit("u1", complete), teller.clock(complete + HOUR, HOUR)]
        units += [teller.unit("u2", complete), teller.unit("u3", complete - 1)]
        machine.step(raw(units))
        assert sorted(machine.accounts["acme"].open) == ["u1", "u2"]
        outputs = machine.step(raw([teller.unit("u3", complete - 1, "retracted", delta=-1)], 4))
        assert [output.topic for output in outputs] == [REJECTED]


def _account_of(machine: AccountsPartition) -> Changelog:
    shelf, again = machine.shelf, Shelf(RICH)
    for name in list(shelf.held):
        shelf.close(shelf.state(name), has_changed=True)
    again.held = shelf.held
    return {key: value for key, value in shelf.take_changes() if value is not None}


def test_a_new_catalog_holds_for_accounts_that_were_written_under_another() -> None:
    """A1: thresholds and warnings of the catalog that is read at start, also for what is packed."""
    log, checkpoint = told([Teller().unit("u1")])
    strict = policy_of(catalog(free_credit={"usd": "12", "days": 3}, alerts={"low_balance_usd": "11.70"}))
    machine = AccountsPartition(3, strict)
    for key, value in kept(log).items():
        machine.restore(key, value)
    machine.restored(checkpoint)
    more = [Teller().unit(f"v{at}", T0 + at, source=1 + at) for at in range(3)]
    outputs = machine.step(raw(more, 1))
    assert [output.topic for output in outputs].count("alerts") == 1


def test_a_workspace_of_many_grants_writes_a_page_for_a_charge_and_not_all_of_them() -> None:
    """C5, law 6: 2,000 grants; oldest first, each used up to the last cent, and gone when nothing can return to it."""
    machine = held_small(AccountsPartition(3, policy_of(catalog(top_up={"minimum_usd": "1"}))))
    teller = Teller()
    facts: list[InboxRecord] = [teller.unit("u", T0)]
    facts += [funds(1 * USD, f"f{at:04}", T0 + at, role="operator") for at in range(2_000)]
    outputs = machine.step(raw(facts))
    whole = sum(len(value or b"") for _, value in machine.take_changes())
    assert sum(output.topic == LEDGER for output in outputs) == 2_001
    written = []
    told = len(facts)
    for at in range(2_600):
        outputs += machine.step(raw([teller.unit(f"u{at}", T0 + DAY + at)], told + at))
        written.append(sum(len(key) + len(value or b"") for key, value in machine.take_changes()))
    assert sum(written) / len(written) < whole / 40
    account = machine.accounts["acme"]
    spent = [grant for grant in account.grants.values() if not grant.remaining_micros]
    assert account.free_micros == 0
    assert account.paid_shared_micros == 2_500 * USD - 2_601 * 20 * CENT
    assert len(spent) == 1 + (2_601 * 20 * CENT - 500 * USD) // USD
    assert broken_laws(account, by_workspace(ledger(outputs))["acme"]) == []


def test_a_spent_grant_goes_with_the_charges_that_used_it_up_also_from_the_lane() -> None:
    """Law 6, C8: once they are final nothing can return to it; until then it stays, though it pays for nothing more."""
    policy = policy_of(catalog(free_credit={"usd": "1", "days": 30}))
    teller = Teller()
    more = command("more", GrantCredit(100 * USD, "x"), T0 + 1, "operator")
    facts: list[InboxRecord] = [teller.unit("u0"), more, *(teller.unit(f"u{at}", T0 + at) for at in range(1, 5))]
    facts += [teller.unit(f"v{at}", T0 + DAY + at) for at in range(5)]
    told, final = raw(facts), raw([teller.clock(T0 + DAY + HOUR, HOUR)], len(facts))
    lanes, full = AccountsPartition(3, policy), AccountsPartition(3, policy, in_lanes=False)
    spent = "grant:acme/welcome"
    for machine in (held_small(lanes), held_small(full)):
        machine.step(told)
        machine.take_changes()
        assert machine.accounts["acme"].grants[spent].remaining_micros == 0
        machine.step(final)
        assert spent not in machine.accounts["acme"].grants
    assert content(lanes) == content(full)


def test_a_workspace_of_many_charges_writes_what_is_new_and_not_its_whole_day() -> None:
    """Law 6: 6,000 charges of one five minutes, in batches of 100."""
    machine, teller = held_small(AccountsPartition(3, policy_of(catalog(free_credit={"usd": "5000"})))), Teller()
    sizes, log = [], Changelog()
    for first in range(0, 6_000, 100):
        facts = [teller.unit(f"u{at}", T0 + at * 10_000) for at in range(first, first + 100)]
        machine.step(raw(facts, first))
        changes = machine.take_changes()
        log.update(changes)
        sizes.append(sum(len(value or b"") for _, value in changes))
    assert max(sizes[1:]) < 2 * min(sizes[1:])
    account = machine.accounts["acme"]
    assert (len(account.open), account.free_micros) == (6_000, 5_000 * USD - 6_000 * 20 * CENT)
    again = AccountsPartition(3, machine.policy)
    for key, value in kept(log).items():
        again.restore(key, value)
    again.restored(machine.checkpoint())
    assert content(again) == content(machine)
    machine.step(raw([teller.clock(T0 + 2 * DAY)], 6_000))
    assert sum(value is None for key, value in machine.take_changes() if key.startswith(b"o/")) == 400
    assert not machine.accounts["acme"].open


def test_what_the_version_before_wrote_is_read_and_written_anew() -> None:
    """L5, law 2: the changelog of a run of that version, and a digest of what it put out after it."""
    sample = json.loads((Path(__file__).parent / "samples" / "changelog-format-1.json").read_text(encoding="utf-8"))
    machine = AccountsPartition(3, RICH)
    old = {b64decode(key): b64decode(value) for key, value in sample["state"].items()}
    for key, value in old.items():
        machine.restore(key, value)
    machine.restored(b64decode(sample["checkpoint"]))
    log = dict(machine.take_changes())
    assert {key for key, value in log.items() if value is None} == {key for key in old if key.startswith(b"o/")}
    again = AccountsPartition(3, RICH)
    for key, value in kept(log).items():
        again.restore(key, value)
    again.restored(machine.checkpoint())
    assert content(again) == content(machine)
    for one in (machine, again):
        outputs = one.step(raw([line.encode() for line in sample["inbox"]], sample["first_offset"]))
        digest = sha256()
        for output in outputs:
            digest.update(b"%b\0%b\0%b\n" % (output.topic.encode(), output.key or b"", output.value or b""))
        assert (len(outputs), digest.hexdigest()) == (sample["outputs"], sample["outputs_sha256"])
