"""What a ledger record changes beside money: apps, plans, contracts, payments. Past tense; part of the sealed record.

Folding a workspace's records, changes included, gives back everything that decides what a unit costs (law 5).
Instants are microseconds UTC; `from_us` is when a change takes effect, which may be after its command.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.units import Email, Micros, Name, Text, UnitId, UnitKind

Period = Literal["monthly", "yearly"]
PaymentMethod = Literal["card", "ach", "wire"]
PaymentPurpose = Literal["auto_top_up", "subscription", "contract", "support", "top_up"]
_Count = Annotated[int, Meta(ge=0)]
_Percent = Annotated[int, Meta(ge=1, le=100)]
_Limits = dict[str, Annotated[int, Meta(ge=1)]]


class Contract(Struct, frozen=True, omit_defaults=True):
    """P3: an enterprise contract. `price_micros` is the fee of a term, `allowed_requests` the sessions it includes;
    past them the apps stop (`block`), or each session costs `overage_micros`. Limits and the support plan (P7) that are
    left out are the catalog's."""

    price_micros: _Count
    allowed_requests: _Count
    term: Period
    past: Literal["block", "overage"]
    overage_micros: _Count = 0
    ends_us: Micros | None = None
    support_plan: Annotated[str, Meta(max_length=64)] = ""
    rate_limits: _Limits = {}
    usage_limits: _Limits = {}


class AppAppeared(Struct, frozen=True, tag_field="change", tag="app_appeared"):
    """An app that nobody created is first seen by a charged unit: published on the default plan, always."""

    app: Name


class AppCreated(Struct, frozen=True, tag_field="change", tag="app_created", omit_defaults=True):
    """E4, W1: a new app, in draft, and who owns it."""

    app: Name
    owner: Text
    from_us: Micros
    products: tuple[Text, ...] = ()


class AppPublished(Struct, frozen=True, tag_field="change", tag="app_published"):
    """E4: from here on the app answers on channels and is billed."""

    app: Name
    from_us: Micros


class AppUnpublished(Struct, frozen=True, tag_field="change", tag="app_unpublished"):
    """E4: from here on it does not."""

    app: Name
    from_us: Micros


class PlanTaken(Struct, frozen=True, tag_field="change", tag="plan_taken", omit_defaults=True):
    """P4, P11: the app is on the plan from `from_us` to before `until_us`, afterwards on the default plan again."""

    app: Name
    plan: Text
    from_us: Micros
    until_us: Micros | None = None
    period: Period | None = None


class PlanEnds(Struct, frozen=True, tag_field="change", tag="plan_ends", omit_defaults=True):
    """P4, P8: the app's plan ends at `until_us`; it goes on as the default plan. `unpaid`: because of a fee;
    `cancelled`: an owner cancelled it, and may resume it until then."""

    app: Name
    until_us: Micros
    unpaid: bool = False
    cancelled: bool = False


class PlanResumed(Struct, frozen=True, tag_field="change", tag="plan_resumed"):
    """P8: the app's subscription was cancelled and goes on, as if it had not been."""

    app: Name


class SupportTaken(Struct, frozen=True, tag_field="change", tag="support_taken"):
    """P7: the workspace has paid support from here on, at this fee a month."""

    plan: Text
    from_us: Micros
    monthly_micros: Annotated[int, Meta(ge=1)]


class SupportEnds(Struct, frozen=True, tag_field="change", tag="support_ends", omit_defaults=True):
    """P7, P8: paid support ends at `until_us`. `unpaid` and `cancelled` as of `PlanEnds`."""

    until_us: Micros
    unpaid: bool = False
    cancelled: bool = False


class SupportResumed(Struct, frozen=True, tag_field="change", tag="support_resumed"):
    """P7, P8: paid support was cancelled and goes on."""


class ContractBegan(Struct, frozen=True, tag_field="change", tag="contract_began"):
    """P3, P12: from here on the contract covers all apps of the workspace."""

    contract: Contract
    from_us: Micros


class ContractEnds(Struct, frozen=True, tag_field="change", tag="contract_ends", omit_defaults=True):
    """P3, P8: the contract in force ends at `until_us`. `unpaid`: because of a fee."""

    until_us: Micros
    unpaid: bool = False


class UpgradeRequested(Struct, frozen=True, tag_field="change", tag="upgrade_requested", omit_defaults=True):
    """P9: Enterprise is asked for, until an operator approves or declines."""

    by: Text
    app: Name | None = None


class UpgradeDeclined(Struct, frozen=True, tag_field="change", tag="upgrade_declined"):
    """P9: the request is closed, and why."""

    reason: Text


class PaymentRequested(Struct, frozen=True, tag_field="change", tag="payment_requested", omit_defaults=True):
    """C10, P8: a payment is asked for. `subject` is what it pays for: `app/<app>`, `contract`, `support`, `credit`
    (shared), `credit/<app>`; `due_us` the instant the fee's term begins, or credit is asked for."""

    payment_id: Text
    purpose: PaymentPurpose
    subject: Text
    amount_micros: Annotated[int, Meta(ge=1)]
    due_us: Micros
    method: PaymentMethod | None = None


class PaymentSettled(Struct, frozen=True, tag_field="change", tag="payment_settled"):
    """C10: a requested payment has been made."""

    payment_id: Text


class PaymentFailed(Struct, frozen=True, tag_field="change", tag="payment_failed"):
    """C10: a requested payment has failed, when and why."""

    payment_id: Text
    reason: Text
    at_us: Micros


class AutoPaymentSet(Struct, frozen=True, tag_field="change", tag="auto_payment_set"):
    """C10: when shared paid credit is below `below_micros`, ask for `amount_micros` by `method`; after a failure again
    at most `retries` times in a row, and at most `maximum_per_day` times a UTC day."""

    below_micros: Annotated[int, Meta(ge=1)]
    amount_micros: Annotated[int, Meta(ge=1)]
    method: PaymentMethod
    retries: _Count
    maximum_per_day: Annotated[int, Meta(ge=1)]


class AutoPaymentStopped(Struct, frozen=True, tag_field="change", tag="auto_payment_stopped"):
    """C10: no more payments are asked for by themselves."""


class PersonChanged(Struct, frozen=True, tag_field="change", tag="person_changed", omit_defaults=True):
    """W1, W2: what a person is to the workspace from here on. `email`, if given, is where the person is reached."""

    user: Text
    role: Literal["invited", "member", "owner"]
    email: Email = ""


class EmailSet(Struct, frozen=True, tag_field="change", tag="email_set"):
    """A3: where a person is reached from here on; empty: nowhere."""

    user: Text
    email: Email


class PersonRemoved(Struct, frozen=True, tag_field="change", tag="person_removed"):
    """W2: a person who is no user of the workspace, nor of its apps, any more."""

    user: Text


class CollaboratorAdded(Struct, frozen=True, tag_field="change", tag="collaborator_added"):
    """W2: a user works on an app, in a role."""

    app: Name
    user: Text
    role: Text


class CollaboratorRemoved(Struct, frozen=True, tag_field="change", tag="collaborator_removed"):
    """W2: a user works on an app no more."""

    app: Name
    user: Text


class AppTransferred(Struct, frozen=True, tag_field="change", tag="app_transferred"):
    """W2: the app has another owner."""

    app: Name
    owner: Text


class LicenceAssigned(Struct, frozen=True, tag_field="change", tag="licence_assigned"):
    """P10: a product is licensed."""

    product: Text


class LicenceRemoved(Struct, frozen=True, tag_field="change", tag="licence_removed"):
    """P10: a product is licensed no more."""

    product: Text


class AlertsSet(Struct, frozen=True, tag_field="change", tag="alerts_set"):
    """A1: low balance is told below these amounts, and below these percentages of the credit last added."""

    amounts_micros: tuple[_Count, ...]
    percents: tuple[_Percent, ...]


class LateEvent(Struct, frozen=True):
    """An event that METER set aside as late (U6): who it is (U7), and where it lies in `interactions`."""

    source: Text
    id: Text
    partition: _Count
    offset: _Count


class LatePart(Struct, frozen=True, omit_defaults=True):
    """What a grant paid of a charge, and the grant as it was opened: it may be used up and forgotten since."""

    grant_id: Text
    credit: Literal["free", "paid"]
    given_micros: Annotated[int, Meta(ge=1)]
    granted_us: Micros
    paid_micros: Annotated[int, Meta(ge=1)]
    expires_us: Micros | None = None
    app: Name | None = None


class LateCharge(Struct, frozen=True, omit_defaults=True):
    """The charge that a unit has, as the ledger tells it to who counts late events (U6): what it cost, and who paid."""

    start_us: Micros
    price_micros: _Count
    plan: Text
    covered: Literal["", "included", "beyond", "unpublished"] = ""
    pool: str = ""
    parts: Annotated[tuple[LatePart, ...], Meta(max_length=100)] = ()


class LateUnit(Struct, frozen=True, omit_defaults=True):
    """What late events do to what was counted: a unit more (`delta` 1), one less (-1), or another start or the user's
    speaking (`delta` 0, U12). `from_us` is the start until now, where it moves within its UTC day; `charge` what the
    ledger has for the unit; `stays_billable` says that it was billable and still is."""

    unit_id: UnitId
    kind: UnitKind
    start_us: Micros
    delta: Annotated[int, Meta(ge=-1, le=1)]
    billable_delta: Annotated[int, Meta(ge=-1, le=1)]
    from_us: Micros | None = None
    stays_billable: bool = False
    charge: LateCharge | None = None

    @property
    def was_us(self) -> int:
        """Where it started until now."""
        return self.start_us if self.from_us is None else self.from_us

    @property
    def was_billable(self) -> bool:
        """Whether it was billable before."""
        return self.stays_billable or self.billable_delta < 0

    @property
    def is_billable(self) -> bool:
        """Whether it is billable from now on."""
        return self.stays_billable or self.billable_delta > 0


MOST_AT_ONCE = 100
"""Late events, and units that they change, of one admission (U6)."""
LateEvents = Annotated[tuple[LateEvent, ...], Meta(min_length=1, max_length=MOST_AT_ONCE)]
LateUnits = Annotated[tuple[LateUnit, ...], Meta(max_length=MOST_AT_ONCE)]


class LateAdmitted(Struct, frozen=True, tag_field="change", tag="late_admitted"):
    """U6: late events of one user with one app on one channel count after all; `units` are the units of live traffic
    that this adds, takes away or moves. `after`: so many late events had been admitted before."""

    app: Name
    channel: Name
    user: Text
    events: LateEvents
    units: LateUnits
    after: _Count


Change = (
    PersonChanged
    | EmailSet
    | PersonRemoved
    | CollaboratorAdded
    | CollaboratorRemoved
    | AppTransferred
    | LicenceAssigned
    | LicenceRemoved
    | AlertsSet
    | AutoPaymentSet
    | AutoPaymentStopped
    | AppAppeared
    | AppCreated
    | AppPublished
    | AppUnpublished
    | PlanTaken
    | PlanEnds
    | PlanResumed
    | SupportTaken
    | SupportEnds
    | SupportResumed
    | ContractBegan
    | ContractEnds
    | UpgradeRequested
    | UpgradeDeclined
    | PaymentRequested
    | PaymentSettled
    | PaymentFailed
    | LateAdmitted
)
