"""All apps of a workspace as one list (T5): what an app is, and what it used and cost; sorted and filtered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from projections.account import AccountView
from projections.profile import Profile
from projections.web.asked import BadParameter
from schemas.errors import excerpt


@dataclass(frozen=True, slots=True)
class AppLine:
    """One app: credit is its own, mapped to it; units and cost are billed ones since ever."""

    app: str
    owner: str
    status: str
    plan: str
    allowed: bool
    paid: bool
    inactive: bool
    credit_micros: int
    due_micros: int
    billed_units: int
    charged_micros: int


SORTS: dict[str, Callable[[AppLine], Any]] = {
    "app": lambda line: line.app, "owner": lambda line: line.owner, "status": lambda line: line.status,
    "credit": lambda line: line.credit_micros, "units": lambda line: line.billed_units,
    "cost": lambda line: line.charged_micros,
}  # fmt: skip
SHOWS: dict[str, Callable[[AppLine], bool]] = {
    "published": lambda line: line.status == "published", "draft": lambda line: line.status == "draft",
    "unpublished": lambda line: line.status == "unpublished", "paid": lambda line: line.paid,
    "inactive": lambda line: line.inactive, "stopped": lambda line: line.status == "published" and not line.allowed,
}  # fmt: skip


def listed(view: AccountView, profile: Profile, query: Mapping[str, str]) -> list[AppLine]:
    """The apps; `sort` (default: the dearest first), `order`, `q` (part of a name or owner), `show`. BadParameter."""
    used, known = {app.app: app for app in view.apps}, {app.app: app for app in profile.apps}
    lines = []
    for name in sorted({*used, *known}):
        usage, told = used.get(name), known.get(name)
        if told is None and usage is not None and not (usage.billed_units or usage.credit_micros or usage.due_micros):
            continue  # where alerts of the account itself are counted (U9): no app
        lines.append(
            AppLine(
                name,
                told.owner if told else "",
                told.status if told else "published",
                told.plan if told else view.plan,
                told.allowed if told else True,
                bool((usage and usage.paid) or (told and told.paid)),
                usage.inactive if usage else True,
                usage.credit_micros if usage else 0,
                usage.due_micros if usage else 0,
                usage.billed_units if usage else 0,
                usage.charged_micros if usage else 0,
            )
        )
    sort, show, part = query.get("sort") or "cost", query.get("show", ""), query.get("q", "").strip().lower()
    order = query.get("order") or ("asc" if sort in ("app", "owner", "status") else "desc")
    for field, value, allowed in (("sort", sort, SORTS), ("order", order, ("asc", "desc"))):
        if value not in allowed:
            raise BadParameter(field, excerpt(value), f"one of {', '.join(allowed)}")
    if show and show not in SHOWS:
        raise BadParameter("show", excerpt(show), f"one of {', '.join(SHOWS)}")
    lines = [line for line in lines if part in line.app.lower() or part in line.owner.lower()]
    lines = [line for line in lines if not show or SHOWS[show](line)]
    return sorted(lines, key=SORTS[sort], reverse=order == "desc")
