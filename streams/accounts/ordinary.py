"""Ordinary charges: the hot path of ACCOUNTS, from a unit to its record in one go (`quarterhour bench accounts`).

What an account's lane allows is decided, sealed and folded here without looking at the account. The law: each record,
and the account afterwards, is the one that `decide` and `commit` would give; a test runs both over the same histories.
"""

from __future__ import annotations

import hashlib
from typing import Final

from schemas.instants import MICROS_PER_DAY
from schemas.ledger_text import ordinary_charge, quoted
from schemas.topics import INBOX
from schemas.units import Unit
from streams.accounts.apps import ALWAYS
from streams.accounts.grants import FOR_EVER
from streams.accounts.held import Held
from streams.accounts.policy import Policy
from streams.accounts.shelf import Shelf
from streams.accounts.state import OpenCharge

_MAX_CACHED: Final = 100_000


class OrdinaryCharges:
    """The ordinary charges of one partition. `settings` identifies the catalog they go by."""

    def __init__(self, policy: Policy, partition: int) -> None:
        self.settings = hashlib.sha256(policy.catalog.model_dump_json().encode()).hexdigest()[:16]
        self._policy = policy
        self._plan, self._plan_text = policy.standard.id, quoted(policy.standard.id)
        self._origin = f'{{"topic":"{INBOX}","partition":{partition},"offset":'
        self._who: dict[tuple[str, str], str] = {}
        self._prices: dict[str, tuple[int, int, int]] = {}

    def take(self, shelf: Shelf, held: Held, unit: Unit, offset: int, complete_us: int) -> bytes | None:
        """The ledger record of an ordinary charge, the account being charged; empty when the unit changes nothing;
        None for anything else: then nothing has happened yet."""
        lane = held.lane
        if lane is None:
            lane = shelf.lane(held)
            if lane is None:
                return None
        start_us = unit.start_us
        if unit.change != "closed":
            app, unit_id, kind = unit.app, unit.unit_id, unit.kind
            if start_us < complete_us or shelf.is_open(held, unit_id):
                return None
            activity = lane.apps.get(app) if lane.apps is not None else shelf.usual(held, app)
            if activity is None:
                return None
            price = self._price(kind, start_us) if unit.billable and unit.change != "retracted" else 0
            if price:
                day = start_us // MICROS_PER_DAY
                charged = lane.daily.get(day)
                left = lane.remaining_micros - price
                if left < lane.least_micros or not lane.since_us <= start_us < lane.expires_us:
                    return None
                if charged is None or day > activity.newest_day or not (lane.is_free or activity.paid):
                    return None
                # From here it must succeed.
                total = lane.usage.get(kind, 0) + price
                if lane.is_free:
                    lane.free_micros -= price
                else:
                    lane.paid_shared_micros -= price
                lane.sequence += 1
                lane.remaining_micros = left
                lane.usage[kind] = total
                lane.daily[day] = (charged[0] + 1, charged[1] + price)
                if start_us > lane.as_of_us:
                    lane.as_of_us = start_us
                if start_us > lane.newest_us:
                    lane.newest_us = start_us
                channel = unit.channel
                record, lane.last_hash = ordinary_charge(
                    quoted(held.workspace), lane.sequence, start_us, f'{self._origin}{offset},"index":0}}',
                    quoted(unit_id), kind, price, total, quoted(lane.account), left, lane.free_micros,
                    lane.paid_shared_micros, lane.paid_apps_micros, lane.last_hash,
                    self._who.get((app, channel)) or self._new_who(app, channel), self._plan_text,
                )  # fmt: skip
                shelf.written_soon[held.workspace] = held
                parts = ((lane.account, price),)
                shelf.keep(held, OpenCharge(unit_id, app, start_us, price, self._plan, parts, "", "", kind, channel))
                return record
        if start_us > lane.newest_us:
            lane.newest_us = start_us
            shelf.written_soon[held.workspace] = held
        return b""

    def _price(self, kind: str, start_us: int) -> int:
        """The default plan's price in force; it is looked up once per kind and period."""
        known = self._prices.get(kind)
        if known is None or not known[0] <= start_us < known[1]:
            changes = sorted(price.from_us for price in self._policy.standard.prices if price.unit == kind)
            since_us = max((at_us for at_us in changes if at_us <= start_us), default=ALWAYS)
            until_us = min((at_us for at_us in changes if at_us > start_us), default=FOR_EVER)
            known = self._prices[kind] = (since_us, until_us, self._policy.price_micros(kind, start_us))
        return known[2]

    def _new_who(self, app: str, channel: str) -> str:
        if len(self._who) >= _MAX_CACHED:
            self._who.clear()
        text = self._who[app, channel] = f'"app":{quoted(app)},"channel":{quoted(channel)}'
        return text
