"""An app, and what it was when: published or not, on which plan (E4, P4, P11, P12).

Histories are kept with their instants: what counts for a unit is what held at its start. A change takes effect after
every unit already taken, and drops what was to come after it; so no charge rests on a history that changed later.
"""

from __future__ import annotations

from msgspec import Struct, field

from schemas.changes import AutoPaymentSet, Contract
from schemas.entitlements import Why
from streams.accounts.grants import FOR_EVER

ALWAYS = -(2**62)
"""Stands for "since ever" in a history."""


class Span(Struct):
    """A plan other than the default one, from an instant to before another."""

    plan: str
    from_us: int
    until_us: int = FOR_EVER
    period: str | None = None


class ContractSpan(Struct):
    """A contract in force from an instant to before another."""

    contract: Contract
    from_us: int
    until_us: int = FOR_EVER


class Told(Struct):
    """What was last published of an app's entitlement; `step` is the size of its allowed requests. `figures` are its
    average daily units, burn rate, days left and allowed requests, told again at most once a `day` (C11)."""

    allowed: bool
    why: Why
    since_us: int
    plan: str
    step: int
    balance: str
    term_ends_us: int | None
    limits: tuple[tuple[tuple[str, int], ...], tuple[tuple[str, int], ...]]
    support_plan: str = ""
    inactive: bool = False
    paid: bool = False
    figures: tuple[int, int, int | None, int] = (0, 0, None, 0)
    day: int = -1

    @property
    def moves_with_time(self) -> bool:
        """Whether time alone will change what was told (C11, E4)."""
        return not self.inactive or self.figures[:2] != (0, 0)


SUPPORT = "support"
"""The subject of what is paid for support (P7)."""


class AppState(Struct):
    """One app. `created_us` and `owner` are unknown of an app that nobody created. `plain`: always published, always on
    the default plan, so nothing needs to be looked up (derived)."""

    app: str
    owner: str = ""
    created_us: int | None = None
    published: list[tuple[int, bool]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    trial_used: bool = False
    products: tuple[str, ...] = ()
    collaborators: dict[str, str] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether every unit of it is a matter of the default plan."""
        return not self.spans and self.published == _ALWAYS_PUBLISHED

    def is_published(self, at_us: int) -> bool:
        """Whether it was published at an instant."""
        return next((is_on for from_us, is_on in reversed(self.published) if from_us <= at_us), False)

    def span(self, at_us: int) -> Span | None:
        """The plan it was on at an instant; None for the default one."""
        return next((span for span in reversed(self.spans) if span.from_us <= at_us < span.until_us), None)

    def publish(self, is_on: bool, from_us: int) -> None:
        """Published, or not, from here on."""
        self.published = [entry for entry in self.published if entry[0] < from_us]
        self.published.append((from_us, is_on))

    def take(self, span: Span) -> None:
        """On another plan from here on."""
        self.end_plan(span.from_us)
        self.spans.append(span)

    def resume(self) -> None:
        """The newest plan goes on for good."""
        self.spans[-1].until_us = FOR_EVER

    def end_plan(self, until_us: int) -> None:
        """On no plan but the default one from here on."""
        self.spans = [span for span in self.spans if span.from_us < until_us]
        for span in self.spans:
            span.until_us = min(span.until_us, until_us)


_ALWAYS_PUBLISHED = [(ALWAYS, True)]


def appeared(app: str) -> AppState:
    """An app that nobody created: published on the default plan, always."""
    return AppState(app, published=list(_ALWAYS_PUBLISHED))


class Subscription(Struct):
    """What is paid for term by term (P8): `subject` is `app/<app>`, `contract` or `support`. `asked_us` is the start
    of the newest term whose fee was asked for, `unpaid` that payment while it is open; `fee_micros` the fee of a term
    where one is agreed on. `cancelled`: it ends at `until_us` because an owner said so, and may be resumed."""

    subject: str
    plan: str
    period: str
    from_us: int
    asked_us: int
    until_us: int = FOR_EVER
    unpaid: str = ""
    fee_micros: int = 0
    cancelled: bool = False

    def is_in_force(self, at_us: int) -> bool:
        """Whether it runs at an instant."""
        return self.from_us <= at_us < self.until_us


class AutoPayment(Struct):
    """C10: the setting, the payment in flight, failures in a row and the time of the last, and how many payments were
    asked for on the newest day."""

    setting: AutoPaymentSet
    open: str = ""
    failures: int = 0
    failed_us: int = 0
    day: int = -1
    count: int = 0


class Payment(Struct):
    """A payment asked for: `settled`, `failed` or still `open`."""

    payment_id: str
    purpose: str
    subject: str
    amount_micros: int
    due_us: int
    status: str = "open"
