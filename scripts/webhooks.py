"""Webhooks of workspaces, as the compacted topic `webhooks` holds them: added, removed, listed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from schemas.errors import ConfigurationError, InvalidRecord
from schemas.interactions import NAME_PATTERN
from schemas.mails import Webhook, webhook_key
from schemas.routing import partition_of
from schemas.settings import Settings
from schemas.topics import WEBHOOKS
from streams.durable.machine import Output
from streams.durable.producer import new_producer, produce
from streams.mailer.book import BookReader
from streams.mailer.hooks import check_url
from streams.mailer.signing import new_secret

MOST_A_WORKSPACE = 10


async def webhooks(settings: Settings) -> list[Webhook]:
    """All of them, by workspace and time."""
    reader = BookReader(settings.kafka, settings.account_partitions)
    try:
        await reader.start()
        found = [hook for hooks in reader.book.by_workspace().values() for hook in hooks]
    finally:
        await reader.stop()
    return sorted(found, key=lambda hook: (hook.workspace, hook.added_us, hook.webhook_id))


async def add(settings: Settings, workspace: str, url: str, now_us: int) -> Webhook:
    """Add one with a new secret; ConfigurationError for what cannot be one. Adding it again gives a new secret."""
    if re.search(NAME_PATTERN, workspace) is None:
        raise ConfigurationError(f"{workspace!r} is no workspace's name")
    try:
        check_url(url, loopback=settings.webhook_loopback)
    except InvalidRecord as error:
        raise ConfigurationError(str(error)) from None
    webhook_id = hashlib.sha256(url.encode()).hexdigest()[:8]
    others = [h for h in await webhooks(settings) if h.workspace == workspace and h.webhook_id != webhook_id]
    if len(others) >= MOST_A_WORKSPACE:
        raise ConfigurationError(f"workspace {workspace} has {len(others)} webhooks, which is the most; remove one")
    hook = Webhook(webhook_id, workspace, url, new_secret(), now_us)
    await _publish(settings, workspace, webhook_id, msgspec.json.encode(hook))
    return hook


async def remove(settings: Settings, workspace: str, webhook_id: str) -> None:
    """Remove one; ConfigurationError if there is none such. What waits for it ends as a dead letter."""
    known: Sequence[str] = [h.webhook_id for h in await webhooks(settings) if h.workspace == workspace]
    if webhook_id not in known:
        raise ConfigurationError(f"workspace {workspace} has no webhook {webhook_id!r}: {', '.join(known) or 'none'}")
    await _publish(settings, workspace, webhook_id, None)


async def _publish(settings: Settings, workspace: str, webhook_id: str, value: bytes | None) -> None:
    partition = partition_of(workspace, settings.account_partitions)
    producer = new_producer(settings.kafka, "quarterhour-webhooks", throwaway=settings.throwaway)
    await producer.start()
    try:
        await produce(producer, [Output(WEBHOOKS, partition, webhook_key(workspace, webhook_id), value)])
    finally:
        await producer.stop()
