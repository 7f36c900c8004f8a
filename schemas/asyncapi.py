"""The AsyncAPI 3 document of the topics that others publish to or read, made from the topic table and the schemas.

It describes Quarterhour: what it receives and what it sends. The changelogs are its own affair and not in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from schemas.alerts import Alert
from schemas.aside import SetAside
from schemas.commands import InboxRecord
from schemas.entitlements import Entitlement
from schemas.gateway_keys import ApiKey
from schemas.headers import RECORD_HEADERS
from schemas.interactions import InteractionEvent
from schemas.ledger import LedgerRecord
from schemas.mails import DeadMail, MailRetry, MailStep, Webhook
from schemas.payments import PaymentRequest
from schemas.replies import Reply
from schemas.topics import (
    ALERTS,
    DEAD_MAILS,
    ENTITLEMENTS,
    GATEWAY_KEYS,
    INBOX,
    INTERACTIONS,
    LATE,
    LEDGER,
    MAIL_RETRIES,
    MAILS,
    PAYMENT_REQUESTS,
    REJECTED,
    REPLIES,
    WEBHOOKS,
    Topic,
    topic_table,
)

BINDING_VERSION = "0.5.0"
_REFERENCE = "#/components/schemas/{}"
_NUMBERS = ("retention.ms", "max.message.bytes")


@dataclass(frozen=True, slots=True)
class _Use:
    """Whether Quarterhour receives or sends on a topic, and the type of its records."""

    action: Literal["receive", "send"]
    message: str
    record: Any
    content_type: str = "application/json"


_USES: dict[str, _Use] = {
    INTERACTIONS: _Use("receive", "interaction", InteractionEvent, "application/cloudevents+json"),
    REJECTED: _Use("send", "rejected", SetAside),
    LATE: _Use("send", "late", SetAside),
    INBOX: _Use("receive", "accountInput", InboxRecord),
    LEDGER: _Use("send", "ledgerRecord", LedgerRecord),
    ALERTS: _Use("send", "alert", Alert),
    ENTITLEMENTS: _Use("send", "entitlement", Entitlement),
    PAYMENT_REQUESTS: _Use("send", "paymentRequest", PaymentRequest),
    REPLIES: _Use("send", "reply", Reply),
    GATEWAY_KEYS: _Use("receive", "apiKey", ApiKey),
    MAILS: _Use("send", "mailStep", MailStep),
    DEAD_MAILS: _Use("send", "deadMail", DeadMail),
    MAIL_RETRIES: _Use("receive", "mailRetry", MailRetry),
    WEBHOOKS: _Use("receive", "webhook", Webhook),
}

EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/gateways/web-1",
    "type": "quarterhour.message.v1",
    "time": "2026-01-31T09:00:00Z",
    "data": {"workspace": "acme", "app": "helper", "channel": "web", "user": "u1", "direction": "inbound"},
}
"""The README's event."""


def document() -> dict[str, Any]:
    """The document, for the topic table's default partition counts."""
    topics = [topic for topic in topic_table() if topic.name in _USES]
    return {
        "asyncapi": "3.0.0",
        "id": "urn:quarterhour:topics",
        "info": {
            "title": "Quarterhour topics",
            "version": "1",
            "description": "Interaction events in; ledger, alerts, entitlements and payment requests out. Money is "
            "integer micro-dollars, instants in our own records are microseconds UTC.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "`quarterhour up` prints the address; elsewhere KAFKA_BOOTSTRAP_SERVERS.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {_camel(topic.name): _channel(topic) for topic in topics},
        "operations": dict(_operation(topic) for topic in topics),
        "components": {"messages": dict(_message(topic) for topic in topics), "schemas": _schemas()},
    }


def _camel(name: str) -> str:
    head, *rest = name.split(".")
    return head + "".join(part.title() for part in rest)


def _channel(topic: Topic) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(value) if name in _NUMBERS else value.split(",")
        for name, value in topic.config.items()
        if name in (*_NUMBERS, "cleanup.policy")
    }
    message = _USES[topic.name].message
    return {
        "address": topic.name,
        "description": topic.purpose,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": BINDING_VERSION,
            }
        },
    }


def _operation(topic: Topic) -> tuple[str, dict[str, Any]]:
    use, channel = _USES[topic.name], _camel(topic.name)
    return f"{use.action}{channel[0].upper()}{channel[1:]}", {
        "action": use.action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": topic.purpose,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{use.message}"}],
    }


def _message(topic: Topic) -> tuple[str, dict[str, Any]]:
    use = _USES[topic.name]
    key = {"type": "string", "description": topic.key}
    message: dict[str, Any] = {
        "name": use.message,
        "title": topic.purpose,
        "contentType": use.content_type,
        "payload": _payload(use.record),
        "bindings": {"kafka": {"key": key, "bindingVersion": BINDING_VERSION}},
    }
    headers = {
        one.name: {"type": "string", "description": one.purpose} for one in RECORD_HEADERS if topic.name in one.topics
    }
    if headers:
        message["headers"] = {"type": "object", "properties": headers}
    if topic.name == INTERACTIONS:
        message["examples"] = [{"name": "an end user's message", "payload": EXAMPLE}]
    return use.message, message


def _records() -> list[Any]:
    return [use.record for use in _USES.values() if use.record is not InteractionEvent]


def _payload(record: Any) -> dict[str, Any]:
    if record is InteractionEvent:
        return {"$ref": _REFERENCE.format("InteractionEvent")}
    schemas, _ = msgspec.json.schema_components([record], ref_template=_REFERENCE.replace("{}", "{name}"))
    payload: dict[str, Any] = _plain(schemas[0])
    return payload


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(_records(), ref_template=_REFERENCE.replace("{}", "{name}"))
    event = InteractionEvent.model_json_schema(ref_template=_REFERENCE.replace("{}", "{model}"))
    parts = event.pop("$defs", {})
    return {**_plain(components), **parts, "InteractionEvent": event}


def _plain(schema: Any) -> Any:
    """Without OpenAPI's discriminators, which AsyncAPI does not know: the tags are constants in the schemas anyway."""
    if isinstance(schema, dict):
        openapi = isinstance(schema.get("discriminator"), dict) and "propertyName" in schema["discriminator"]
        return {name: _plain(part) for name, part in schema.items() if not (openapi and name == "discriminator")}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
