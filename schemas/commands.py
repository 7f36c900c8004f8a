"""Commands to an account, and `account.inbox` as a whole: the one stream ACCOUNTS is a function of.

Every command names who gives it and has an id; the same id again is the same command (law 3), the same id with other
content an error.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.changes import Contract, LateEvents, LateUnits, PaymentMethod, Period
from schemas.errors import InvalidRecord, excerpt
from schemas.units import Email, Micros, Name, Text, Unit, Watermark

MAX_AMOUNT_MICROS = 10**15
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MICROS)]


OTHER_CONTENT = "was given before with other content"
"""What the refusal of a second content under one command id says (law 3)."""


class Actor(Struct, frozen=True):
    """Who gives a command (rule W3): a role and a name. A `user` claims no role: it is looked up who the person is."""

    role: Literal["operator", "workspace_owner", "app_owner", "collaborator", "system", "user"]
    name: Text


class CreateWorkspace(Struct, frozen=True, tag_field="kind", tag="create_workspace", omit_defaults=True):
    """A new Standard workspace (rules W1, P2, C1), created at the command's time. `email` is its owner's (A3)."""

    owner: Text
    email: Email = ""


class AddFunds(Struct, frozen=True, tag_field="kind", tag="add_funds"):
    """Paid credit (rule C4) that a settled payment brought: shared, or mapped to one app."""

    amount_micros: Amount
    payment_id: Text
    app: Name | None = None


class RequestFunds(Struct, frozen=True, tag_field="kind", tag="request_funds", omit_defaults=True):
    """Ask to buy credit (rules C4, C10), shared or for one app: a payment is asked for, and the credit is added when it
    is settled. An app owner asks for an own app. One such payment at a time for the same credit."""

    amount_micros: Amount
    method: PaymentMethod
    app: Name | None = None


class GrantCredit(Struct, frozen=True, tag_field="kind", tag="grant_credit"):
    """Free credit given by an operator (rules C1, W3); it lasts as long as the catalog says from the command's time."""

    amount_micros: Amount
    reason: Text


class CreateApp(Struct, frozen=True, tag_field="kind", tag="create_app", omit_defaults=True):
    """A new app, in draft (E4); its creator owns it (W1). `products` are those it is made for (P10)."""

    app: Name
    products: tuple[Text, ...] = ()


class PublishApp(Struct, frozen=True, tag_field="kind", tag="publish_app"):
    """Let the app answer on channels, and be billed (E4)."""

    app: Name


class UnpublishApp(Struct, frozen=True, tag_field="kind", tag="unpublish_app"):
    """Take the app off the channels (E4)."""

    app: Name


class StartTrial(Struct, frozen=True, tag_field="kind", tag="start_trial"):
    """The free trial of a new app (P11)."""

    app: Name


class Subscribe(Struct, frozen=True, tag_field="kind", tag="subscribe"):
    """Take a subscription for an app (P4): at once, its first fee asked for at once. What is cancelled and still in
    force is resumed: then no fee is asked for before its next renewal (P8)."""

    app: Name
    plan: Text
    period: Period


class CancelPlan(Struct, frozen=True, tag_field="kind", tag="cancel"):
    """End an app's subscription at the end of its term, or its trial at once (P4, P11)."""

    app: Name


class SubscribeSupport(Struct, frozen=True, tag_field="kind", tag="subscribe_support", omit_defaults=True):
    """Take paid support (P7), month by month, the first fee asked for at once; or resume it while it is cancelled and
    in force. `monthly_micros`: a higher fee than the catalog's, agreed on with an operator."""

    plan: Text = "standard"
    monthly_micros: Amount | None = None


class CancelSupport(Struct, frozen=True, tag_field="kind", tag="cancel_support"):
    """End paid support with its month (P7)."""


class RequestUpgrade(Struct, frozen=True, tag_field="kind", tag="request_upgrade", omit_defaults=True):
    """Ask for Enterprise (P9)."""

    app: Name | None = None


class ApproveUpgrade(Struct, frozen=True, tag_field="kind", tag="approve_upgrade"):
    """The enterprise contract of the workspace (P3, P9), asked for or not, in the place of one in force."""

    contract: Contract


class DeclineUpgrade(Struct, frozen=True, tag_field="kind", tag="decline_upgrade"):
    """Close the request for Enterprise (P9)."""

    reason: Text


class EndContract(Struct, frozen=True, tag_field="kind", tag="end_contract"):
    """End the enterprise contract (P3) at the command's time."""

    reason: Text


class InviteUser(Struct, frozen=True, tag_field="kind", tag="invite_user", omit_defaults=True):
    """Invite a person to the workspace (W2). `email` is where the person is reached (A3)."""

    user: Text
    email: Email = ""


class AcceptInvitation(Struct, frozen=True, tag_field="kind", tag="accept_invitation"):
    """Join the workspace one was invited to (W1): given by the invited person."""


class SetEmail(Struct, frozen=True, tag_field="kind", tag="set_email"):
    """Where a user of the workspace is reached (A3): one's own, or set by who may invite. Empty: nowhere."""

    user: Text
    email: Email


class AssignRole(Struct, frozen=True, tag_field="kind", tag="assign_role", omit_defaults=True):
    """Make a user an owner of the workspace, or a member (W2). `email`, if given, is where the user is reached (A3)."""

    user: Text
    role: Literal["member", "owner"]
    email: Email = ""


class RemoveUser(Struct, frozen=True, tag_field="kind", tag="remove_user"):
    """Take a person out of the workspace and its apps (W2)."""

    user: Text


class InviteCollaborator(Struct, frozen=True, tag_field="kind", tag="invite_collaborator"):
    """Let a user of the workspace work on an app, in a role (W2)."""

    app: Name
    user: Text
    role: Text


class RemoveCollaborator(Struct, frozen=True, tag_field="kind", tag="remove_collaborator"):
    """Let a user work on an app no more (W2)."""

    app: Name
    user: Text


class TransferApp(Struct, frozen=True, tag_field="kind", tag="transfer_app"):
    """Give an app to another user of the workspace (W2)."""

    app: Name
    user: Text


class AssignLicence(Struct, frozen=True, tag_field="kind", tag="assign_licence"):
    """License a product (P10)."""

    product: Text


class RemoveLicence(Struct, frozen=True, tag_field="kind", tag="remove_licence"):
    """End a product's licence (P10)."""

    product: Text


class MoveCredit(Struct, frozen=True, tag_field="kind", tag="move_credit", omit_defaults=True):
    """Move unspent paid credit (C4) from an app's own to another's, or from or to what all share (no app)."""

    amount_micros: Amount
    from_app: Name | None = None
    to_app: Name | None = None


class SetAutoPayment(Struct, frozen=True, tag_field="kind", tag="set_auto_payment", omit_defaults=True):
    """When shared paid credit is below X, ask for Y by a method (C10), within the catalog's guards."""

    below_micros: Amount
    amount_micros: Amount
    method: PaymentMethod
    retries: Annotated[int, Meta(ge=0)] = 1
    maximum_per_day: Annotated[int, Meta(ge=1)] = 1


class StopAutoPayment(Struct, frozen=True, tag_field="kind", tag="stop_auto_payment"):
    """Ask for no more payments (C10)."""


class SetAlerts(Struct, frozen=True, tag_field="kind", tag="set_alerts"):
    """When low balance is told (A1): below amounts, and below percentages of the credit last added."""

    amounts_micros: Annotated[tuple[Amount, ...], Meta(max_length=10)]
    percents: Annotated[tuple[Annotated[int, Meta(ge=1, le=100)], ...], Meta(max_length=10)]


class SettlePayment(Struct, frozen=True, tag_field="kind", tag="settle_payment"):
    """A requested payment has been made (C10, P8)."""

    payment_id: Text


class FailPayment(Struct, frozen=True, tag_field="kind", tag="fail_payment"):
    """A requested payment has failed (C10)."""

    payment_id: Text
    reason: Text


class AdmitLate(Struct, frozen=True, tag_field="kind", tag="admit_late", omit_defaults=True):
    """Bill late events after all (U6): `quarterhour late admit` counts what they change and gives this. `after`: how
    many late events of the workspace were admitted when it counted; with another number it counts anew. `until_us`: an
    event up to then could still touch the units that were counted, so METER must be past it."""

    app: Name
    channel: Name
    user: Text
    events: LateEvents
    units: LateUnits
    after: Annotated[int, Meta(ge=0)]
    reason: Text
    until_us: Micros = 0


CommandBody = (
    CreateWorkspace
    | AddFunds
    | RequestFunds
    | GrantCredit
    | CreateApp
    | PublishApp
    | UnpublishApp
    | StartTrial
    | Subscribe
    | CancelPlan
    | SubscribeSupport
    | CancelSupport
    | RequestUpgrade
    | ApproveUpgrade
    | DeclineUpgrade
    | EndContract
    | InviteUser
    | AcceptInvitation
    | SetEmail
    | AssignRole
    | RemoveUser
    | InviteCollaborator
    | RemoveCollaborator
    | TransferApp
    | AssignLicence
    | RemoveLicence
    | MoveCredit
    | SetAutoPayment
    | StopAutoPayment
    | SetAlerts
    | SettlePayment
    | FailPayment
    | AdmitLate
)


class Command(Struct, frozen=True, tag_field="type", tag="command.v1", omit_defaults=True):
    """One command: `command_id` is its idempotency key, `time_us` the instant it takes effect (microseconds UTC).

    `received`: that instant is when a door received it, and no part of what is compared with another of its id.
    """

    command_id: Text
    workspace: Name
    time_us: Micros
    actor: Actor
    body: CommandBody
    received: bool = False


InboxRecord = Unit | Watermark | Command

_decoder: msgspec.json.Decoder[InboxRecord] = msgspec.json.Decoder(InboxRecord)


def decode_inbox(value: bytes | None) -> InboxRecord:
    """One record of `account.inbox`; raises `InvalidRecord` for anything else."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        shown = excerpt((value or b"")[:200].decode("utf-8", "replace"))
        reason = "invalid_field" if isinstance(error, msgspec.ValidationError) else "not_json"
        raise InvalidRecord(reason, "", shown, "account.inbox schema", str(error)) from None
