"""What ACCOUNTS goes by: plans, prices, free credit, bounds and thresholds of the catalog. Frozen."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.catalog import Catalog, FreeCredit, Plan, TopUp
from schemas.errors import ConfigurationError
from schemas.instants import MICROS_PER_DAY


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings a decision depends on. `standard` is the default plan (P2), `expiring_days` falls (A1)."""

    standard: Plan
    free_credit: FreeCredit
    top_up: TopUp
    low_balance_micros: int
    expiring_days: tuple[int, ...]
    catalog: Catalog

    def plan(self, plan_id: str) -> Plan:
        """A plan of the catalog."""
        return self.catalog.plan(plan_id)

    def plan_of_kind(self, kind: str) -> Plan:
        """The plan of a kind of which there is one; ConfigurationError if the catalog has none."""
        plan = self.catalog.plan_of_kind(kind)
        if plan is None:
            raise ConfigurationError(f"catalog: there is no plan of kind {kind} (P3, P11)")
        return plan

    @property
    def grace_us(self) -> int:
        """P8: how long a fee may stay unpaid."""
        return self.catalog.renewals.grace_days * MICROS_PER_DAY

    def price_micros(self, unit_kind: str, start_us: int) -> int:
        """What a unit costs on the default plan: the price at its start (P1), 0 for a kind it does not bill."""
        plan = self.standard
        return plan.price_micros(unit_kind, start_us) if plan.bills(unit_kind) else 0


def policy_of(catalog: Catalog) -> Policy:
    """The policy a catalog spells."""
    return Policy(
        standard=catalog.plans[0],
        free_credit=catalog.free_credit,
        top_up=catalog.top_up,
        low_balance_micros=catalog.alerts.low_balance_micros,
        expiring_days=tuple(sorted(set(catalog.alerts.expiring_days), reverse=True)),
        catalog=catalog,
    )
