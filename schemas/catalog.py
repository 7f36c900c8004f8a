"""The plan catalog: prices, plans, credits and bounds as dated data (rule P1), validated when loaded.

Money is integer micro-dollars (C7).
"""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from schemas.errors import ConfigurationError
from schemas.instants import MICROS_PER_DAY
from schemas.plans import MICROS_PER_USD, At, Days, Model, Offer, Plan, Price, Trial, Usd, micros_of_usd

__all__ = [
    "DEFAULT_CATALOG",
    "MICROS_PER_USD",
    "AlertSettings",
    "AutoPaymentBounds",
    "Catalog",
    "FreeCredit",
    "Offer",
    "Plan",
    "Price",
    "Product",
    "Renewals",
    "SupportFee",
    "SupportPlan",
    "TopUp",
    "Trial",
    "load_catalog",
    "micros_of_usd",
]


def _micros_of_day(value: object) -> int:
    return date.fromisoformat(str(value)).toordinal() * MICROS_PER_DAY - date(1970, 1, 1).toordinal() * MICROS_PER_DAY


Day = Annotated[int, BeforeValidator(_micros_of_day)]


class FreeCredit(Model):
    """C1, C2: the free credit of a new workspace, its life in days, and the policy's release."""

    amount_micros: Usd = Field(alias="usd")
    days: Days
    policy_us: Day = Field(alias="policy_date")

    def expires_us(self, granted_us: int) -> int:
        """When credit granted at `granted_us` lapses (C1; C2 for what was there before the policy)."""
        return max(granted_us, self.policy_us) + self.days * MICROS_PER_DAY


class TopUp(Model):
    """C4: the bounds of one top-up."""

    minimum_micros: Usd = Field(alias="minimum_usd")
    maximum_micros: Usd = Field(alias="maximum_usd")

    @model_validator(mode="after")
    def _leaves_room(self) -> TopUp:
        if not 0 < self.minimum_micros <= self.maximum_micros:
            raise ValueError("top_up: minimum_usd is more than 0 and no more than maximum_usd (C4)")
        return self


class AlertSettings(Model):
    """A1: thresholds."""

    low_balance_micros: Usd = Field(alias="low_balance_usd")
    expiring_days: tuple[Days, ...]
    contract_percents: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 100)
    renewal_days: Days = 7


class AutoPaymentBounds(Model):
    """C10: the guards that hold whatever an owner sets."""

    maximum_per_day: int = Field(3, ge=1)
    maximum_retries: int = Field(5, ge=0)
    backoff_minutes: int = Field(60, ge=1)


class Renewals(Model):
    """P8: how long a fee may stay unpaid before the plan falls back to the default one."""

    grace_days: int = Field(7, ge=0, le=27)


class SupportFee(Model):
    """P7: what a month of support costs at least, from an instant on."""

    from_us: At = Field(alias="from")
    monthly_micros: Usd = Field(alias="monthly_usd", gt=0)


class SupportPlan(Model):
    """P7: support for the workspace. With `fees` it can be subscribed to; `by_contract` comes with a contract alone."""

    id: str
    title: str
    fees: tuple[SupportFee, ...] = ()
    includes: tuple[str, ...] = ()
    by_contract: bool = False

    def monthly_micros(self, at_us: int) -> int | None:
        """The least fee of a month that begins then; None when it cannot be subscribed to."""
        dated = [fee for fee in self.fees if fee.from_us <= at_us]
        return max(dated, key=lambda fee: fee.from_us).monthly_micros if dated else None


class Product(Model):
    """P10: a product, and the button shown while it is not licensed."""

    id: str
    title: str
    unlicensed: Literal["try_now", "contact_us"]


class Catalog(Model):
    """The whole catalog. The first plan is the default one (P2)."""

    free_credit: FreeCredit
    top_up: TopUp
    alerts: AlertSettings
    auto_payment: AutoPaymentBounds = AutoPaymentBounds.model_validate({})
    renewals: Renewals = Renewals.model_validate({})
    plans: tuple[Plan, ...] = Field(min_length=1)
    support_plans: tuple[SupportPlan, ...] = Field(min_length=1)
    products: tuple[Product, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Catalog:
        for what, rows in (("plan", self.plans), ("support plan", self.support_plans), ("product", self.products)):
            twice = [name for name, times in Counter(row.id for row in rows).items() if times > 1]
            if twice:
                raise ValueError(f"{what} {twice[0]} is there twice (P1)")
        default = self.plans[0]
        if default.kind != "payg":
            raise ValueError(f"plan {default.id} stands first, so it is the default one, and must be payg (P2)")
        for kind in ("trial", "contract"):
            found = [plan.id for plan in self.plans if plan.kind == kind]
            if len(found) > 1:
                raise ValueError(f"plans {' and '.join(found)} are both of kind {kind}; there is one at most (P3, P11)")
        supports = {support.id for support in self.support_plans}
        for plan in self.plans:
            if plan.support_plan not in supports:
                raise ValueError(f"plan {plan.id} names support plan {plan.support_plan}, which is not there (P7)")
            self._check_limits(default, plan)
        return self

    def _check_limits(self, default: Plan, plan: Plan) -> None:
        """P6: every plan says the same limits, and a contract never less than the default plan."""
        for ours, least in ((plan.rate_limits, default.rate_limits), (plan.usage_limits, default.usage_limits)):
            if ours.keys() != least.keys():
                names = ", ".join(sorted(ours.keys() ^ least.keys()))
                raise ValueError(f"plans {plan.id} and {default.id} do not state the same limits: {names} (P6)")
            lower = [name for name in ours if plan.kind == "contract" and ours[name] < least[name]]
            if lower:
                raise ValueError(f"plan {plan.id}: {lower[0]} is below that of {default.id} (P6)")

    def plan(self, plan_id: str) -> Plan:
        """The plan of that id; ConfigurationError if there is none."""
        for plan in self.plans:
            if plan.id == plan_id:
                return plan
        raise ConfigurationError(f"catalog: no plan {plan_id!r}; there are {', '.join(p.id for p in self.plans)}")

    def support_plan(self, support_id: str) -> SupportPlan | None:
        """The support plan of that id, if there is one."""
        return next((support for support in self.support_plans if support.id == support_id), None)

    def plan_of_kind(self, kind: str) -> Plan | None:
        """The first plan of a kind, if there is one."""
        return next((plan for plan in self.plans if plan.kind == kind), None)


DEFAULT_CATALOG = Path(__file__).with_name("catalog.toml")


@cache
def load_catalog(path: Path = DEFAULT_CATALOG) -> Catalog:
    """Read and validate a catalog file; ConfigurationError names what is wrong in it."""
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Catalog.model_validate(content)
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"catalog {path}: {error}") from error
