"""Every Kafka client of ours is made with the arguments that settings lead to, in one place; read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = {"AIOKafkaProducer", "AIOKafkaConsumer", "AIOKafkaAdminClient"}
OTHER_CLIENTS = {"confluent_kafka", "kafka"}
OWN_BROKER = {
    "scripts/bench/broker.py", "scripts/bench/floor.py", "scripts/bench/idiomatic.py", "scripts/bench_gateway.py",
    "scripts/stack/kafka_node.py",
}  # fmt: skip
"""These speak to a plaintext broker that they have started themselves."""
FILES = sorted(
    path for folder in ("schemas", "streams", "projections", "scripts") for path in (ROOT / folder).rglob("*.py")
)


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            yield (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")), node


def _with(call: ast.Call, function: str) -> bool:
    """Whether a call is given `**function(...)`."""
    starred = [keyword.value for keyword in call.keywords if keyword.arg is None]
    return any(isinstance(each, ast.Call) and getattr(each.func, "id", "") == function for each in starred)


def test_every_aiokafka_client_is_made_with_the_settings_arguments() -> None:
    seen = {}
    for path in FILES:
        for name, call in _calls(path):
            if name in CLIENTS and _name(path) not in OWN_BROKER:
                seen[f"{_name(path)}:{call.lineno}"] = _with(call, "client_arguments")
    assert len(seen) >= 12
    assert [where for where, good in seen.items() if not good] == []


def test_every_faust_app_is_made_with_the_settings_broker() -> None:
    apps = [
        (_name(path), _with(call, "broker_settings"))
        for path in FILES
        for name, call in _calls(path)
        if name in ("App", "_App") and any(keyword.arg == "datadir" for keyword in call.keywords)
    ]
    assert [where for where, good in apps if not good] == ["scripts/bench/idiomatic.py"]
    assert ("streams/durable/worker.py", True) in apps


def test_no_other_kind_of_client_is_used_but_for_measuring() -> None:
    found = set()
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if {module.split(".")[0] for module in modules} & OTHER_CLIENTS:
                found.add(_name(path))
    assert found <= OWN_BROKER


def test_the_bare_address_is_handed_to_no_client() -> None:
    """`settings.kafka_bootstrap_servers` is asked for, shown and recorded; what connects is given `settings.kafka`."""
    passed = []
    for path in FILES:
        if _name(path).startswith(("scripts/bench", "schemas/settings.py")):
            continue
        for name, call in _calls(path):
            arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
            if any(isinstance(each, ast.Attribute) and each.attr == "kafka_bootstrap_servers" for each in arguments):
                passed.append(f"{_name(path)}:{call.lineno}: {name}")
    assert passed == []


@pytest.mark.parametrize("name", sorted(OWN_BROKER))
def test_what_is_let_off_is_there(name: str) -> None:
    assert (ROOT / name).exists()
