"""Which support plan is in force (P7): a contract's, the one subscribed to, or what comes with every published app."""

from __future__ import annotations

from schemas.changes import Contract
from streams.accounts.apps import SUPPORT, AppState
from streams.accounts.policy import Policy
from streams.accounts.pricing import contract_at
from streams.accounts.state import AccountState


def contract_support(contract: Contract, policy: Policy) -> str:
    """The support plan that a contract brings beyond what comes with every published app; "" if none."""
    support = contract.support_plan or policy.plan_of_kind("contract").support_plan
    return "" if support == policy.standard.support_plan else support


def support_at(state: AccountState, at_us: int, policy: Policy, app: AppState | None = None) -> str:
    """The support plan of an app, or of the workspace, at an instant; "" for none: nothing is published."""
    covering = contract_at(state, at_us)
    agreed = contract_support(covering.contract, policy) if covering is not None else ""
    if agreed:
        return agreed
    held = state.subscriptions.get(SUPPORT)
    if held is not None and held.is_in_force(at_us):
        return held.plan
    apps = state.apps.values() if app is None else (app,)
    return policy.standard.support_plan if any(one.is_published(at_us) for one in apps) else ""
