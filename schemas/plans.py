"""Plans as the catalog spells them: dated prices, subscription offers, trial, limits (rules P1-P6, P11).

Amounts are integer micro-dollars (C7), instants microseconds UTC. Leaves to others: the file and what stands between
plans (`catalog`), and which plan an app is on (ACCOUNTS).
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.errors import ConfigurationError
from schemas.instants import micros_of
from schemas.units import ALWAYS_BILLED, UnitKind

MICROS_PER_USD = 1_000_000
MOST_DAYS = 36_500
MOST_MICROS = 10**15
"""Bounds of what a catalog says: balances and instants fit 64 bits (C7)."""

BillingUnit = Literal["conversation", "session"]
Period = Literal["monthly", "yearly"]
MONTHS: dict[Period, int] = {"monthly": 1, "yearly": 12}
Limit = Annotated[int, Field(ge=1)]


def micros_of_usd(text: object) -> int:
    """`"0.20"` to 200000; ValueError when it is not text or finer than a micro-dollar (rule C7)."""
    if not isinstance(text, str):
        raise ValueError('an amount is text, e.g. "0.20", never a binary float (C7)')
    try:
        micros = Decimal(text) * MICROS_PER_USD
        whole = micros.to_integral_value()
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount of US dollars (C7)") from None
    if not micros.is_finite() or micros != whole or micros < 0:
        raise ValueError("an amount is not negative and has at most six decimals (C7)")
    return int(micros)


def _micros_of_instant(value: object) -> int:
    if isinstance(value, str):
        return micros_of(datetime.fromisoformat(value))
    raise ValueError("an instant is RFC 3339 text with a time zone")


Usd = Annotated[int, BeforeValidator(micros_of_usd), Field(le=MOST_MICROS)]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]
At = Annotated[int, BeforeValidator(_micros_of_instant)]


class Model(BaseModel):
    """A frozen table of the catalog; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Price(Model):
    """One dated price of one unit."""

    unit: UnitKind
    from_us: At = Field(alias="from")
    amount_micros: Usd = Field(alias="usd")


class Offer(Model):
    """P4: what one period of a subscription costs and includes, from an instant on."""

    period: Period
    from_us: At = Field(alias="from")
    fee_micros: Usd = Field(alias="fee_usd")
    included: int = Field(ge=0)


class Trial(Model):
    """P11: how long a free trial lasts and how many units it includes."""

    days: Days
    included: int = Field(ge=1)


class Plan(Model):
    """A plan: what it bills and at which dated prices, what is included, what it allows (P6).

    `kind`: `payg` is paid by use, a `subscription` is taken by an app, a `trial` is free for a time, a `contract`
    covers the whole workspace and brings its figures with the command that approves it (P3).
    """

    id: str = Field(min_length=1, max_length=64)
    title: str
    kind: Literal["payg", "subscription", "trial", "contract"] = "payg"
    billing_unit: BillingUnit
    prices: tuple[Price, ...]
    offers: tuple[Offer, ...] = ()
    trial: Trial | None = None
    support_plan: str = "basic"
    rate_limits: dict[str, Limit] = Field(default_factory=dict)
    usage_limits: dict[str, Limit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Plan:
        for unit in (self.billing_unit, *ALWAYS_BILLED):
            if not any(price.unit == unit for price in self.prices):
                raise ValueError(f"plan {self.id} bills {unit} but has no price for it (P1)")
            priced_us = min(price.from_us for price in self.prices if price.unit == unit)
            if any(offer.from_us < priced_us for offer in self.offers):
                raise ValueError(f"plan {self.id} is offered before it has a price for {unit} (P1, P4)")
        if (self.kind == "subscription") != bool(self.offers):
            raise ValueError(f"plan {self.id}: offers belong to a subscription, and each has one at least (P4)")
        if (self.kind == "trial") != (self.trial is not None):
            raise ValueError(f"plan {self.id}: days and included units belong to a trial, and each has them (P11)")
        for what, seen in (
            ("price of a", Counter((price.unit, price.from_us) for price in self.prices)),
            ("offer for", Counter((offer.period, offer.from_us) for offer in self.offers)),
        ):
            twice = [key for key, times in seen.items() if times > 1]
            if twice:
                raise ValueError(f"plan {self.id} has two versions of the {what} {twice[0][0]} from one instant (P1)")
        return self

    def bills(self, unit_kind: str) -> bool:
        """Whether units of this kind are charged under the plan (U10): its billing unit, and notifications."""
        return unit_kind == self.billing_unit or unit_kind in ALWAYS_BILLED

    def price_micros(self, unit_kind: str, start_us: int) -> int:
        """The price in force at a unit's start (P1); ConfigurationError if the catalog has none."""
        best: Price | None = None
        for price in self.prices:
            if price.unit == unit_kind and price.from_us <= start_us and (best is None or price.from_us > best.from_us):
                best = price
        if best is None:
            raise ConfigurationError(f"catalog: plan {self.id} has no price for a {unit_kind} at {start_us} (P1)")
        return best.amount_micros

    def offer(self, period: str, at_us: int) -> Offer | None:
        """The offer in force when a period begins (P1, P4); None when the plan has none then."""
        dated = [offer for offer in self.offers if offer.period == period and offer.from_us <= at_us]
        return max(dated, key=lambda offer: offer.from_us, default=None)
