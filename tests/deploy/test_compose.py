"""docker-compose.yml: valid, on loopback, without privileges, and of the versions that the local stack runs."""

from __future__ import annotations

import importlib.util
import re

from typer.main import get_command

from schemas.settings import Settings
from scripts.cli import app
from scripts.stack.kafka_artifacts import KAFKA_VERSION
from tests.deploy.composed import ROOT, compose, ours


def test_the_broker_is_of_the_version_of_the_local_stack() -> None:
    assert compose()["services"]["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_every_port_is_published_on_loopback_only() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert len(ports) >= 5
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
    assert len({port["published"] for port in ports}) == len(ports)


def test_every_image_of_others_has_a_version() -> None:
    images = {service["image"] for service in compose()["services"].values()} - {"quarterhour"}
    assert all(":" in image and not image.endswith(":latest") for image in images), images


def test_our_processes_run_without_privileges() -> None:
    for name, service in ours().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_each_command_is_a_module_or_command_that_exists() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # typer makes a click group
    for name, service in ours().items():
        program, *arguments = service["command"]
        if program == "quarterhour":
            assert arguments[0] in commands, name
        else:
            assert (program, arguments[0]) == ("python", "-m"), name
            assert importlib.util.find_spec(arguments[1]) is not None, name


def test_each_variable_for_our_processes_is_a_setting() -> None:
    known = set(Settings().environment()) | {f"QUARTERHOUR_{name.upper()}" for name in Settings.model_fields}
    for name, service in ours().items():
        assert set(service["environment"]) <= known, name


def test_only_traces_are_optional_and_the_readme_names_the_address_they_are_taken_at() -> None:
    services = compose()["services"]
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "traces": ["traces"]
    }
    assert not any("traces" in (service.get("depends_on") or {}) for service in services.values())
    assert {service["environment"]["QUARTERHOUR_OTEL_ENDPOINT"] for service in ours().values()} == {""}
    text = (ROOT / "scripts" / "deploy" / "README.md").read_text(encoding="utf-8")
    endpoint = re.findall(r"QUARTERHOUR_OTEL_ENDPOINT=(\S+)", text)
    assert endpoint == ["http://traces:4318"], "the service's name, and OTLP's port"
    assert Settings(otel_endpoint=endpoint[0]).otel_endpoint


def test_what_is_mounted_is_there() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert (ROOT / volume["source"]).exists(), volume


def test_each_service_waits_for_services_that_are_there() -> None:
    services = compose()["services"]
    for name, service in services.items():
        for other, condition in (service.get("depends_on") or {}).items():
            assert other in services, name
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (name, other)
