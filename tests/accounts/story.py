"""Short words for telling an account's story in tests: units, commands, watermarks, and a partition that runs them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.catalog import DEFAULT_CATALOG, Catalog, load_catalog
from schemas.commands import (
    Actor,
    AddFunds,
    Command,
    CommandBody,
    CreateWorkspace,
    GrantCredit,
    InboxRecord,
)
from schemas.entitlements import Entitlement
from schemas.instants import MICROS_PER_DAY, MICROS_PER_HOUR
from schemas.ledger import LedgerRecord, decode_ledger
from schemas.payments import PaymentRequest
from schemas.replies import Reply, decode_reply
from schemas.topics import ALERTS, ENTITLEMENTS, INTERACTIONS, LEDGER, PAYMENT_REQUESTS, REJECTED, REPLIES
from schemas.units import Origin, Unit, Watermark
from streams.accounts.partition import AccountsPartition
from streams.accounts.policy import Policy, policy_of
from streams.accounts.state import AccountState
from streams.durable.machine import Output, RawRecord

USD = 1_000_000
CENT = USD // 100
DAY = MICROS_PER_DAY
HOUR = MICROS_PER_HOUR
T0 = 1_767_225_600 * USD
"""2026-01-01T00:00:00Z."""

_encode = msgspec.json.Encoder().encode
_entitlement = msgspec.json.Decoder(Entitlement).decode
_request = msgspec.json.Decoder(PaymentRequest).decode
_alert = msgspec.json.Decoder(Alert).decode
_aside = msgspec.json.Decoder(SetAside).decode


def catalog(**changes: Any) -> Catalog:
    """The shipped catalog with tables replaced: `catalog(free_credit={"usd": "1"})`. `plans` replaces those of the
    same id, the first one being the default."""
    base: dict[str, Any] = tomllib.loads(DEFAULT_CATALOG.read_text(encoding="utf-8"))
    for table, values in changes.items():
        if table == "plans":
            given = {plan["id"]: plan for plan in values}
            base["plans"] = [{**plan, **given.get(plan["id"], {})} for plan in base["plans"]]
        else:
            base[table] = {**base[table], **values}
    return Catalog.model_validate(base)


def standard(*prices: dict[str, str]) -> dict[str, Any]:
    """A Standard plan with these prices; notifications and alerts cost nothing."""
    silent = [price("notification", "0"), price("alert", "0")]
    return {"id": "standard", "title": "Standard", "billing_unit": "conversation", "prices": [*prices, *silent]}


def price(unit: str, usd: str, since: str = "2000-01-01T00:00:00Z") -> dict[str, str]:
    """A dated price."""
    return {"unit": unit, "from": since, "usd": usd}


POLICY = policy_of(load_catalog())


class Teller:
    """Makes facts whose origins follow one another, per source partition."""

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}

    def origin(self, source: int = 0) -> Origin:
        """The next origin of a source partition."""
        offset = self.offsets.get(source, 0)
        self.offsets[source] = offset + 1
        return Origin(INTERACTIONS, source, offset, 0)

    def unit(
        self,
        unit_id: str,
        start_us: int = T0,
        change: str = "opened",
        *,
        app: str = "bot",
        workspace: str = "acme",
        billable: bool = True,
        kind: str = "conversation",
        delta: int | None = None,
        source: int = 0,
    ) -> Unit:
        """A unit event. The billable delta is 1 when opened and -1 when retracted unless given."""
        usual = {"opened": 1, "retracted": -1}.get(change, 0) if billable else 0
        return Unit(
            self.origin(source), unit_id, kind, change, 1, workspace, app, "web", "ann", "live", start_us,  # type: ignore[arg-type]
            billable, {"opened": 1, "retracted": -1}.get(change, 0), usual if delta is None else delta,
        )  # fmt: skip

    def clock(self, now_us: int, late_us: int = DAY, source: int = 0, of: int = 1) -> Watermark:
        """A watermark of one of `of` source partitions."""
        return Watermark(self.origin(source), of, now_us, now_us - late_us, {})


def create(command_id: str = "create", time_us: int = T0, role: str = "system", workspace: str = "acme") -> Command:
    """CreateWorkspace."""
    return command(command_id, CreateWorkspace("olga"), time_us, role, workspace)


def funds(
    amount: int, command_id: str, time_us: int = T0, app: str | None = None, role: str = "system", payment: str = ""
) -> Command:
    """AddFunds of micro-dollars."""
    return command(command_id, AddFunds(amount, payment or f"pay-{command_id}", app), time_us, role)


def credit(amount: int, command_id: str, time_us: int = T0, role: str = "operator") -> Command:
    """GrantCredit of micro-dollars."""
    return command(command_id, GrantCredit(amount, "goodwill"), time_us, role)


def command(
    command_id: str, body: CommandBody, time_us: int = T0, role: str = "system", workspace: str = "acme"
) -> Command:
    """Any command."""
    return Command(command_id, workspace, time_us, Actor(role, "olga"), body)  # type: ignore[arg-type]


def raw(facts: Iterable[InboxRecord | bytes | None], first: int = 0) -> list[RawRecord]:
    """Facts as inbox records."""
    return [
        RawRecord(first + at, 1000, None, fact if fact is None or isinstance(fact, bytes) else _encode(fact))
        for at, fact in enumerate(facts)
    ]


class Story:
    """One partition, told fact by fact."""

    def __init__(self, policy: Policy = POLICY, partition: int = 3) -> None:
        self.machine = AccountsPartition(partition, policy)
        self.machine.restored(None)
        self.told = 0
        self.outputs: list[Output] = []
        """All but the replies."""
        self.replies: list[Reply] = []

    def tell(self, *facts: InboxRecord | bytes | None) -> list[LedgerRecord]:
        """Fold facts; the ledger records they led to."""
        outputs = self.machine.step(raw(facts, self.told))
        self.told += len(facts)
        self.outputs.extend(output for output in outputs if output.topic != REPLIES)
        self.replies.extend(decode_reply(output.value) for output in outputs if output.topic == REPLIES)
        return ledger(outputs)

    @property
    def ledger(self) -> list[LedgerRecord]:
        """All records so far."""
        return ledger(self.outputs)

    @property
    def alerts(self) -> list[Alert]:
        """All alerts so far."""
        return [_alert(output.value or b"") for output in self.outputs if output.topic == ALERTS]

    @property
    def requests(self) -> list[PaymentRequest]:
        """All payments asked for so far."""
        return [_request(output.value or b"") for output in self.outputs if output.topic == PAYMENT_REQUESTS]

    @property
    def entitlements(self) -> list[Entitlement]:
        """All entitlements so far."""
        return [_entitlement(output.value or b"") for output in self.outputs if output.topic == ENTITLEMENTS]

    @property
    def kinds(self) -> list[str]:
        """The kinds of all alerts so far."""
        return [alert.kind for alert in self.alerts]

    @property
    def asides(self) -> list[SetAside]:
        """All records set aside."""
        return [_aside(output.value or b"") for output in self.outputs if output.topic == REJECTED]

    def account(self, workspace: str = "acme") -> AccountState:
        """An account's state."""
        return self.machine.accounts[workspace]

    def left(self, grant: str) -> int:
        """What remains of a grant, by the last line on it: `left("welcome")`."""
        return self.balance(f"grant:acme/{grant}")

    def balance(self, account: str) -> int:
        """The balance of a ledger account by its last line."""
        return next((v for k, v in reversed(self.lines) if k == account), 0)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """(account, balance after) of every line so far."""
        return [(line.account, line.balance_micros) for record in self.ledger for line in record.lines]


def ledger(outputs: Sequence[Output]) -> list[LedgerRecord]:
    """The ledger records among outputs."""
    return [decode_ledger(output.value) for output in outputs if output.topic == LEDGER]


def by_workspace(records: Iterable[LedgerRecord]) -> dict[str, list[LedgerRecord]]:
    """Records by workspace."""
    found: dict[str, list[LedgerRecord]] = {}
    for record in records:
        found.setdefault(record.workspace, []).append(record)
    return found


def amounts(record: LedgerRecord) -> list[tuple[str, int]]:
    """(account, amount) of a record's lines, grants without their prefix."""
    return [(line.account.removeprefix("grant:acme/"), line.amount_micros) for line in record.lines]
