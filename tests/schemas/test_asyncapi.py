"""The AsyncAPI document against AsyncAPI's own schema, and against the topic table."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from schemas.asyncapi import EXAMPLE, document
from schemas.interactions import InteractionEvent
from schemas.topics import ACCOUNTS_CHANGELOG, CLOCK_LEASE, MAILER_CHANGELOG, METER_CHANGELOG, topic_table

_SPECIFICATION = Path(__file__).with_name("asyncapi") / "3.0.0.json.gz"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(gzip.decompress(_SPECIFICATION.read_bytes())))


def test_the_document_is_asyncapi_3(validator: jsonschema.Draft7Validator) -> None:
    assert [error.message for error in validator.iter_errors(document())] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("channels", "interactions", "bindings", "kafka", "partitions"), 0),
        (("operations", "receiveInteractions", "action"), "listen"),
        (("info", "version"), 1),
        (("components", "messages", "interaction", "payload"), 7),
    ],
)
def test_the_check_can_fail(validator: jsonschema.Draft7Validator, path: tuple[str, ...], value: object) -> None:
    broken: Any = copy.deepcopy(document())
    place = broken
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert list(validator.iter_errors(broken))


def test_every_topic_but_the_changelogs_is_described_as_it_is() -> None:
    described = {
        channel["address"]: channel["bindings"]["kafka"]["partitions"] for channel in document()["channels"].values()
    }
    internal = {METER_CHANGELOG, ACCOUNTS_CHANGELOG, MAILER_CHANGELOG, CLOCK_LEASE}
    assert described == {topic.name: topic.partitions for topic in topic_table() if topic.name not in internal}


def test_the_headers_of_a_record_are_described() -> None:
    messages = document()["components"]["messages"]
    assert set(messages["interaction"]["headers"]["properties"]) == {
        "traceparent", "qh-rerouted-from", "qh-replay-log", "qh-replay-step",
    }  # fmt: skip
    assert set(messages["ledgerRecord"]["headers"]["properties"]) == {"traceparent"}
    assert "headers" not in messages["apiKey"]


def test_every_reference_leads_somewhere() -> None:
    whole: Any = document()

    def follow(part: Any) -> None:
        if isinstance(part, dict):
            if isinstance(reference := part.get("$ref"), str):
                found = whole
                for name in reference.removeprefix("#/").split("/"):
                    found = found[name]
            for inner in part.values():
                follow(inner)
        elif isinstance(part, list):
            for inner in part:
                follow(inner)

    follow(whole)


def test_the_example_is_an_event_by_the_contract_and_by_the_schema_in_the_document() -> None:
    assert InteractionEvent.of_record(msgspec.json.encode(EXAMPLE)).id == "e-1"
    schema = {"$ref": "#/components/schemas/InteractionEvent", "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(EXAMPLE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**EXAMPLE, "specversion": "0.3"})
