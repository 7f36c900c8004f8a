"""What METER puts out: unit events, watermarks, records set aside, each naming its origin (law 2)."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import msgspec

from schemas.aside import MAX_KEPT_CHARACTERS, SetAside
from schemas.errors import InvalidRecord, excerpt
from schemas.interactions import REROUTED_HEADER, Interaction
from schemas.routing import interaction_key, partition_of
from schemas.topics import INBOX, INTERACTIONS, LATE, REJECTED
from schemas.units import ALWAYS_BILLED, Origin, Unit, UnitChange, UnitKind, Watermark
from streams.durable.machine import Output, RawRecord
from streams.metering.policy import MeterPolicy
from streams.metering.windows import Session, Window

_encode = msgspec.json.Encoder().encode
LIVE = "live"


class AppNames:
    """What the keys of one app on one channel have in common: their names, and the inbox partition of the workspace."""

    __slots__ = ("app", "channel", "environment", "inbox_key", "inbox_partition", "live", "workspace")

    def __init__(self, environment: str, workspace: str, app: str, channel: str, account_partitions: int) -> None:
        self.environment = environment
        self.live = environment == LIVE
        self.workspace = workspace
        self.app = app
        self.channel = channel
        self.inbox_key = workspace.encode()
        self.inbox_partition = _inbox_partition(workspace, account_partitions)


@lru_cache(maxsize=65536)
def _inbox_partition(workspace: str, partitions: int) -> int:
    return partition_of(workspace, partitions)


class Emitter:
    """Collects outputs. `offset` says which input they come from, `index` counts that input's outputs so far."""

    def __init__(self, partition: int, policy: MeterPolicy) -> None:
        self.partition = partition
        self.policy = policy
        self.outputs: list[Output] = []
        self._names = AppNames("", "", "", "", 1)
        self._user = ""
        self.openings = 0
        self.offset = 0
        self.index = 0

    def begin(self, offset: int) -> None:
        """What comes from here on derives from the input record at `offset`."""
        self.offset = offset
        self.index = 0

    def about(self, names: AppNames, user: str) -> None:
        """Whose windows are being changed from here on."""
        self._names = names
        self._user = user
        self.openings = 0

    def opened(self, kind: UnitKind, window: Window) -> None:
        """See `windows.Emit`. The id derives from the input that opened the unit."""
        window.offset = self.offset
        window.index = self.index
        window.revision = 0
        self.openings += 1
        billable = self._billable(kind, window)
        self._unit(kind, "opened", window, billable, 1, int(billable))

    def revised(self, kind: UnitKind, window: Window, was_interactive: bool) -> None:
        """See `windows.Emit`."""
        billable = self._billable(kind, window)
        before = self._names.live and was_interactive
        self._unit(kind, "revised", window, billable, 0, int(billable) - int(before))

    def retracted(self, kind: UnitKind, window: Window, was_interactive: bool) -> None:
        """See `windows.Emit`."""
        self._unit(kind, "retracted", window, False, -1, -int(self._names.live and was_interactive))

    def closed(self, kind: UnitKind, window: Window) -> None:
        """See `windows.Emit`."""
        self._unit(kind, "closed", window, self._billable(kind, window), 0, 0)

    def _billable(self, kind: UnitKind, window: Window) -> bool:
        """U12: live, and the end user spoke; U8 and U9: a live notification or alert is billable by itself."""
        return self._names.live and (window.inbound > 0 or kind in ALWAYS_BILLED)

    def _unit(
        self, kind: UnitKind, change: UnitChange, window: Window, billable: bool, delta: int, billable_delta: int
    ) -> None:
        names = self._names
        window.revision += 1
        partition = self.partition
        conversation_id = last_us = inbound = outbound = None
        if isinstance(window, Session):
            conversation_id = f"c{partition}-{window.conversation_offset}-{window.conversation_index}"
        if change == "closed":
            last_us, inbound, outbound = window.last, window.inbound, window.outbound
        unit = Unit(
            Origin(INTERACTIONS, partition, self.offset, self.index),
            f"{kind[0]}{partition}-{window.offset}-{window.index}", kind, change, window.revision,
            names.workspace, names.app, names.channel, self._user, names.environment,  # type: ignore[arg-type]
            window.start, billable, delta, billable_delta, conversation_id, last_us, inbound, outbound,
        )  # fmt: skip
        self.index += 1
        self.outputs.append(Output(INBOX, names.inbox_partition, names.inbox_key, _encode(unit)))

    def _origin(self) -> Origin:
        origin = Origin(INTERACTIONS, self.partition, self.offset, self.index)
        self.index += 1
        return origin

    def watermark(self, now_us: int, outcomes: dict[str, int]) -> None:
        """Tell every partition of the inbox how far this one has come."""
        complete = now_us - self.policy.lateness_us
        for inbox_partition in range(self.policy.account_partitions):
            mark = Watermark(self._origin(), self.policy.interaction_partitions, now_us, complete, outcomes)
            self.outputs.append(Output(INBOX, inbox_partition, None, _encode(mark)))

    def reroute(self, record: RawRecord, event: Interaction) -> None:
        """Send a record to the partition its key belongs to, bytes unchanged."""
        key = interaction_key(event.workspace, event.app, event.channel, event.user)
        target = partition_of(key, self.policy.interaction_partitions)
        header = (REROUTED_HEADER, f"{self.partition}:{self.offset}".encode())
        self.index += 1
        self.outputs.append(Output(INTERACTIONS, target, key.encode(), record.value or b"", (header,)))

    def rejected(self, record: RawRecord, error: InvalidRecord, watermark_us: int) -> None:
        """Set a record aside that breaks the contract."""
        self._set_aside(REJECTED, record, error, None, watermark_us)

    def late(self, record: RawRecord, event: Interaction, watermark_us: int) -> None:
        """Set an event aside that is older than the allowed lateness (U6)."""
        behind = (watermark_us - event.time_us) // 1_000_000
        allowed = self.policy.lateness_us // 1_000_000
        detail = f"the event is {behind} s behind the watermark; {allowed} s are allowed"
        if event.time_us >= watermark_us - self.policy.lateness_us:
            detail = f"the event is {behind} s behind the watermark; its time was closed while less was allowed"
        error = InvalidRecord("late", "time", str(event.time_us), "U6", detail)
        self._set_aside(LATE, record, error, event, watermark_us)

    def _set_aside(
        self, topic: str, record: RawRecord, error: InvalidRecord, event: Interaction | None, watermark_us: int
    ) -> None:
        value = record.value or b""
        kept = value[:MAX_KEPT_CHARACTERS].decode("utf-8", "replace")[:MAX_KEPT_CHARACTERS]
        aside = SetAside(
            self._origin(), error.reason, excerpt(error.field), excerpt(error.value), excerpt(error.rule),
            error.detail[:1024], record.timestamp_ms * 1000, len(value), hashlib.sha256(value).hexdigest(), kept,
            watermark_us if watermark_us > 0 else None,
        )  # fmt: skip
        if event is not None:
            aside = msgspec.structs.replace(
                aside, time_us=event.time_us, workspace=event.workspace, app=event.app, channel=event.channel,
                user=event.user, source=event.source, id=event.id,
            )  # fmt: skip
        key = f"{INTERACTIONS}/{self.partition}/{self.offset}".encode()
        self.outputs.append(Output(topic, self.partition, key, _encode(aside)))
