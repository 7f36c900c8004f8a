"""What ACCOUNTS goes by: prices, free credit, bounds and thresholds of the catalog. Frozen; state is elsewhere.

Later plans enter here: `plan_at` will look at an app's plan history, the rest stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.catalog import Catalog, FreeCredit, Plan, TopUp


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings a decision depends on. `standard` is the default plan (P2), `expiring_days` falls (A1)."""

    standard: Plan
    free_credit: FreeCredit
    top_up: TopUp
    low_balance_micros: int
    expiring_days: tuple[int, ...]

    def price_micros(self, unit_kind: str, start_us: int) -> int:
        """What a unit costs: the price in force at its start (P1), 0 for a kind the plan does not bill (U10)."""
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
    )
