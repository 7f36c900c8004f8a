"""The deliveries of one partition of `alerts`: what to send now, and what is remembered. Pure; `now` is an argument.

Each method decides and changes nothing; `apply` changes the state. In between the edge makes the decision durable, in
the order law 1 asks for: outputs, then state, then `apply`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from schemas.errors import InvalidRecord
from schemas.mails import UNADDRESSED, DeadMail, DeliveryChannel, MailRetry, MailStep, Webhook
from schemas.topics import ALERTS, DEAD_MAILS, MAIL_RETRIES, MAILS
from schemas.units import Origin
from streams.durable.machine import Output, RawRecord
from streams.mailer.deliveries import (
    Delivery,
    Outcome,
    again,
    begin,
    dead_letter,
    delivery_id_of,
    end,
    found_again,
    step_of,
    too_old,
)
from streams.mailer.metering import sent_event
from streams.mailer.notice import Notice, addresses, read_notice
from streams.mailer.retrying import RetryPolicy

POSITION_KEY = b"p"
DELIVERY_PREFIX = b"d"

_encode = msgspec.json.Encoder().encode
_read_delivery = msgspec.json.Decoder(Delivery).decode
_read_retry = msgspec.json.Decoder(MailRetry).decode


class Position(Struct, frozen=True):
    """How far the partition has been read: the next offset of each topic, and the highest origin of an alert seen of
    each inbox partition (law 3)."""

    offsets: dict[str, int] = {}
    marks: dict[str, tuple[int, int]] = {}


_read_position = msgspec.json.Decoder(Position).decode


class Decision(Struct, frozen=True):
    """What is to be told, what is to be remembered (None: forgotten), and how records were judged (law 7)."""

    outputs: list[Output]
    changes: dict[str, Delivery | None]
    position: Position | None = None
    outcomes: tuple[str, ...] = ()

    def records(self) -> list[tuple[bytes, bytes | None]]:
        """The changelog records that make it durable."""
        held: list[tuple[bytes, bytes | None]] = [
            (DELIVERY_PREFIX + key.encode(), None if delivery is None else _encode(delivery))
            for key, delivery in self.changes.items()
        ]
        return held if self.position is None else [*held, (POSITION_KEY, _encode(self.position))]


class DeskPolicy(Struct, frozen=True):
    """What a desk goes by. `domain` is the right side of Message-IDs."""

    domain: str
    retrying: RetryPolicy
    interaction_partitions: int


class Desk:
    """See the module."""

    def __init__(self, partition: int, policy: DeskPolicy) -> None:
        self.partition = partition
        self.policy = policy
        self.position = Position()
        self.deliveries: dict[str, Delivery] = {}
        self.counts: Counter[str] = Counter()

    @classmethod
    def recovered(cls, partition: int, policy: DeskPolicy, held: Mapping[bytes, bytes]) -> Desk:
        """The desk as its changelog tells; what was under way may have arrived."""
        desk = cls(partition, policy)
        for key, value in held.items():
            if key == POSITION_KEY:
                desk.position = _read_position(value)
            else:
                delivery = found_again(_read_delivery(value))
                desk.deliveries[delivery.delivery_id] = delivery
        return desk

    def apply(self, decision: Decision) -> None:
        """Change the state as decided and made durable."""
        for key, delivery in decision.changes.items():
            if delivery is None:
                self.deliveries.pop(key, None)
            else:
                self.deliveries[key] = delivery
        if decision.position is not None:
            self.position = decision.position
        self.counts.update(decision.outcomes)

    def take(
        self, topic: str, records: Sequence[RawRecord], webhooks: Mapping[str, Sequence[Webhook]], now_us: int
    ) -> Decision:
        """Records of `alerts` or `mails.retry`; those below the position are repeats."""
        marks = dict(self.position.marks)
        outputs: list[Output] = []
        changes: dict[str, Delivery | None] = {}
        outcomes: list[str] = []
        next_offset = self.position.offsets.get(topic, 0)
        for record in records:
            if record.offset < next_offset:
                continue
            next_offset = record.offset + 1
            try:
                if topic == ALERTS:
                    outcomes.append(self._alert(record, marks, webhooks, now_us, outputs, changes))
                else:
                    outcomes.append(self._retry(record, now_us, outputs, changes))
            except InvalidRecord as error:
                outputs.append(self._letter(_unreadable(record, error, now_us)))
                outcomes.append("rejected")
        position = Position({**self.position.offsets, topic: next_offset}, marks)
        return Decision(outputs, changes, position, tuple(f"{topic}: {outcome}" for outcome in outcomes))

    def due(self, now_us: int, busy: Iterable[str] = ()) -> list[Delivery]:
        """The deliveries to attempt now, longest due first."""
        running = frozenset(busy)
        waiting = [d for d in self.waiting() if d.due_us <= now_us and d.delivery_id not in running]
        return sorted(waiting, key=lambda delivery: (delivery.due_us, delivery.delivery_id))

    def waiting(self) -> Iterator[Delivery]:
        """The deliveries neither sent nor given up."""
        held = list(self.deliveries.values())  # at once: metrics are read from another thread
        return (delivery for delivery in held if delivery.status in ("waiting", "attempting"))

    def next_due_us(self, busy: Iterable[str] = ()) -> int | None:
        """When the next delivery is due; None when none waits."""
        running = frozenset(busy)
        return min((d.due_us for d in self.waiting() if d.delivery_id not in running), default=None)

    def begun(self, delivery_id: str, now_us: int) -> Decision:
        """An attempt is about to hand over the message."""
        return Decision([], {delivery_id: begin(self.deliveries[delivery_id], now_us)})

    def ended(self, delivery_id: str, outcome: Outcome, now_us: int) -> Decision:
        """An attempt has ended. What was sent is told after it is remembered (`told`), everything else before."""
        delivery = end(self.deliveries[delivery_id], outcome, now_us, self.policy.retrying)
        if delivery.status == "sent":
            return Decision([], {delivery_id: delivery}, outcomes=("sent",))
        outputs = [self._step(delivery)]
        if delivery.status == "dead":
            outputs.append(self._letter(dead_letter(delivery)))
        return Decision(
            outputs, {delivery_id: delivery}, outcomes=("dead" if delivery.status == "dead" else "retried",)
        )

    def untold(self) -> list[Delivery]:
        """Deliveries sent of which that has not been told yet."""
        return [delivery for delivery in self.deliveries.values() if delivery.status == "sent"]

    def told(self, delivery_id: str) -> Decision:
        """Tell of a sent delivery, meter it (U9: mails only), and forget it."""
        delivery = self.deliveries[delivery_id]
        outputs = [self._step(delivery)]
        if delivery.channel == "email":
            outputs.append(sent_event(delivery, self.policy.interaction_partitions))
        return Decision(outputs, {delivery_id: None})

    def expired(self, now_us: int) -> Decision:
        """Forget what was given up so long ago that nobody will ask for it again (law 6)."""
        limit = now_us - self.policy.retrying.keep_dead_us
        old = [d.delivery_id for d in self.deliveries.values() if d.status == "dead" and d.changed_us < limit]
        return Decision([], dict.fromkeys(old))

    def _alert(
        self, record: RawRecord, marks: dict[str, tuple[int, int]], webhooks: Mapping[str, Sequence[Webhook]],
        now_us: int, outputs: list[Output], changes: dict[str, Delivery | None],
    ) -> str:  # fmt: skip
        notice = read_notice(record.value)
        if _is_repeat(marks, notice.origin):
            return "repeated"
        appended_us = max(0, record.timestamp_ms) * 1000
        planned = [self._planned(notice, "email", address, appended_us) for address in addresses(notice)]
        for hook in webhooks.get(notice.workspace, ()):
            planned.append(self._planned(notice, "webhook", hook.url, appended_us, hook.webhook_id))
        for delivery in planned:
            outputs.append(self._step(delivery))
            if delivery.give_up_us <= now_us:
                delivery = too_old(delivery, now_us)
                outputs += [self._step(delivery), self._letter(dead_letter(delivery))]
            changes[delivery.delivery_id] = delivery
        if not any(delivery.channel == "email" for delivery in planned):
            outputs.append(self._output(MAILS, notice.workspace, _encode(_unaddressed(notice, now_us))))
        return "planned" if planned else "unaddressed"

    def _planned(
        self, notice: Notice, channel: DeliveryChannel, recipient: str, appended_us: int, webhook_id: str = ""
    ) -> Delivery:
        return Delivery(
            delivery_id_of(notice.alert_id, channel, recipient), channel, recipient, notice, appended_us,
            appended_us + self.policy.retrying.give_up_us, appended_us, changed_us=appended_us, webhook_id=webhook_id,
        )  # fmt: skip

    def _retry(self, record: RawRecord, now_us: int, outputs: list[Output], changes: dict[str, Delivery | None]) -> str:
        try:
            wish = _read_retry(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRecord("invalid_field", "", "", f"{MAIL_RETRIES} schema", str(error)) from None
        held = changes.get(wish.delivery_id, self.deliveries.get(wish.delivery_id))
        if held is None or held.status != "dead" or held.round != wish.round:
            return "repeated"
        renewed = again(held, now_us, self.policy.retrying)
        changes[wish.delivery_id] = renewed
        outputs.append(self._step(renewed))
        return "tried again"

    def _step(self, delivery: Delivery) -> Output:
        return self._output(MAILS, delivery.notice.workspace, _encode(step_of(delivery, self.policy.domain)))

    def _letter(self, letter: DeadMail) -> Output:
        return self._output(DEAD_MAILS, letter.workspace, _encode(letter))

    def _output(self, topic: str, workspace: str, value: bytes) -> Output:
        return Output(topic, self.partition, workspace.encode(), value)


def _unaddressed(notice: Notice, now_us: int) -> MailStep:
    return MailStep(
        delivery_id_of(notice.alert_id, "email", ""), notice.workspace, notice.alert_id, notice.kind, "email", "",
        "unaddressed", now_us, max(0, notice.time_us), notice.app, detail=UNADDRESSED,
    )  # fmt: skip


def _unreadable(record: RawRecord, error: InvalidRecord, now_us: int) -> DeadMail:
    payload = (record.value or b"")[:4096].decode("utf-8", "replace")[:4096]
    return DeadMail("invalid_record", f"offset {record.offset}: {error}"[:512], now_us, payload=payload)


def _is_repeat(marks: dict[str, tuple[int, int]], origin: Origin) -> bool:
    """Whether this origin has been seen; if not, it is the highest of its partition from now on (law 3)."""
    key, place = f"{origin.topic}/{origin.partition}", (origin.offset, origin.index)
    if key in marks and place <= marks[key]:
        return True
    marks[key] = place
    return False
