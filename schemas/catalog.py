"""The plan catalog: prices and credits as dated data (rule P1), validated when loaded.

Money is integer micro-dollars (C7).
"""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ConfigurationError
from schemas.instants import MICROS_PER_DAY, micros_of

MICROS_PER_USD = 1_000_000


def micros_of_usd(text: object) -> int:
    """`"0.20"` to 200000; ValueError when it is not text or finer than a micro-dollar (rule C7)."""
    if not isinstance(text, str):
        raise ValueError('an amount is text, e.g. "0.20", never a binary float (C7)')
    micros = Decimal(text) * MICROS_PER_USD
    if micros != micros.to_integral_value() or micros < 0:
        raise ValueError("an amount is not negative and has at most six decimals (C7)")
    return int(micros)


def _micros_of_instant(value: object) -> int:
    if isinstance(value, str):
        return micros_of(datetime.fromisoformat(value))
    raise ValueError("an instant is RFC 3339 text with a time zone")


def _micros_of_day(value: object) -> int:
    return date.fromisoformat(str(value)).toordinal() * MICROS_PER_DAY - date(1970, 1, 1).toordinal() * MICROS_PER_DAY


Usd = Annotated[int, BeforeValidator(micros_of_usd)]
Day = Annotated[int, BeforeValidator(_micros_of_day)]
At = Annotated[int, BeforeValidator(_micros_of_instant)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FreeCredit(_Model):
    """C1, C2: the free credit of a new workspace, its life in days, and the policy's release."""

    amount_micros: Usd = Field(alias="usd")
    days: int = Field(ge=1)
    policy_us: Day = Field(alias="policy_date")

    def expires_us(self, granted_us: int) -> int:
        """When credit granted at `granted_us` lapses (C1; C2 for what was there before the policy)."""
        return max(granted_us, self.policy_us) + self.days * MICROS_PER_DAY


class TopUp(_Model):
    """C4: the bounds of one top-up."""

    minimum_micros: Usd = Field(alias="minimum_usd")
    maximum_micros: Usd = Field(alias="maximum_usd")


class AlertSettings(_Model):
    """A1: thresholds."""

    low_balance_micros: Usd = Field(alias="low_balance_usd")
    expiring_days: tuple[int, ...]


class Price(_Model):
    """One dated price of one unit."""

    unit: Literal["conversation", "session", "notification", "alert"]
    from_us: At = Field(alias="from")
    amount_micros: Usd = Field(alias="usd")


class Plan(_Model):
    """A plan: what it bills, and at which dated prices."""

    id: str
    title: str
    billing_unit: Literal["conversation", "session"]
    prices: tuple[Price, ...]

    def bills(self, unit_kind: str) -> bool:
        """Whether units of this kind are charged under the plan (U10): its billing unit, and notifications."""
        return unit_kind == self.billing_unit or unit_kind in ("notification", "alert")

    def price_micros(self, unit_kind: str, start_us: int) -> int:
        """The price in force at a unit's start (P1); ConfigurationError if the catalog has none."""
        best: Price | None = None
        for price in self.prices:
            if price.unit == unit_kind and price.from_us <= start_us and (best is None or price.from_us > best.from_us):
                best = price
        if best is None:
            raise ConfigurationError(f"catalog: plan {self.id} has no price for a {unit_kind} at {start_us} (P1)")
        return best.amount_micros


class Catalog(_Model):
    """The whole catalog. The first plan is the default one (P2)."""

    free_credit: FreeCredit
    top_up: TopUp
    alerts: AlertSettings
    plans: tuple[Plan, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_plan_prices_what_it_bills(self) -> Catalog:
        for plan in self.plans:
            for unit in (plan.billing_unit, "notification", "alert"):
                if not any(price.unit == unit for price in plan.prices):
                    raise ValueError(f"plan {plan.id} bills {unit} but has no price for it (P1)")
        return self

    def plan(self, plan_id: str) -> Plan:
        """The plan of that id; ConfigurationError if there is none."""
        for plan in self.plans:
            if plan.id == plan_id:
                return plan
        raise ConfigurationError(f"catalog: no plan {plan_id!r}; there are {', '.join(p.id for p in self.plans)}")


DEFAULT_CATALOG = Path(__file__).with_name("catalog.toml")


@cache
def load_catalog(path: Path = DEFAULT_CATALOG) -> Catalog:
    """Read and validate a catalog file; ConfigurationError names what is wrong in it."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Catalog.model_validate(content)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"catalog {path}: {error}") from error
