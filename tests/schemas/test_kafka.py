"""What settings say of a Kafka, and what its clients are given; combinations that make no sense are refused by name."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.errors import ConfigurationError
from schemas.kafka import Kafka, client_arguments
from schemas.settings import Settings
from streams.durable.broker import broker_settings
from tests.certificates import Authority, Signed

SECRET = "correct horse battery staple"
SASL = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9093", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "billing", "KAFKA_SASL_PASSWORD": SECRET,
}  # fmt: skip
TLS = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9093", "KAFKA_SECURITY_PROTOCOL": "SSL"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Signed:
    return authority.sign("client", "DNS:client")


def settings(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def given(kafka: Kafka) -> dict[str, Any]:
    """The arguments of an aiokafka client, but for the TLS context."""
    found = client_arguments(kafka)
    context = found.pop("ssl_context", None)
    assert (context is not None) == kafka.with_tls
    return found


def test_a_kafka_is_plaintext_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = settings(monkeypatch, {"KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2"}).kafka
    assert given(kafka) == {"bootstrap_servers": "a:1,b:2", "security_protocol": "PLAINTEXT"}
    assert client_arguments("a:1") == {"bootstrap_servers": "a:1"}
    assert broker_settings(kafka) == {"broker": ["kafka://a:1", "kafka://b:2"]}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
def test_user_password_and_mechanism_go_to_every_client(
    monkeypatch: pytest.MonkeyPatch, protocol: str, mechanism: str
) -> None:
    own = {**SASL, "KAFKA_SECURITY_PROTOCOL": protocol, "KAFKA_SASL_MECHANISM": mechanism}
    kafka = settings(monkeypatch, own).kafka
    assert given(kafka) == {
        "bootstrap_servers": "kafka:9093", "security_protocol": protocol, "sasl_mechanism": mechanism,
        "sasl_plain_username": "billing", "sasl_plain_password": SECRET,
    }  # fmt: skip


def test_tls_trusts_the_authority_shows_the_certificate_and_checks_the_host_name(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, client: Signed
) -> None:
    own = {
        **TLS, "KAFKA_SSL_CA_FILE": str(authority.certificate),
        "KAFKA_SSL_CERTIFICATE_FILE": str(client.certificate), "KAFKA_SSL_KEY_FILE": str(client.key),
    }  # fmt: skip
    context = client_arguments(settings(monkeypatch, own).kafka)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    subjects = [each["subject"] for each in context.get_ca_certs()]
    assert subjects == [((("commonName", "authority"),),)], "nobody else is trusted"
    unchecked = settings(monkeypatch, {**own, "KAFKA_SSL_CHECK_HOSTNAME": "false"}).kafka.ssl_context
    assert unchecked is not None
    assert (unchecked.check_hostname, unchecked.verify_mode) == (False, ssl.CERT_REQUIRED), "still not anybody"


@pytest.mark.parametrize("more", [{}, TLS, SASL, {**SASL, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}])
def test_faust_gives_its_clients_what_ours_are_given(monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    kafka = settings(monkeypatch, {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9093", **more}).kafka
    told = broker_settings(kafka)
    fausts = {**credentials_to_aiokafka_auth(told.get("broker_credentials")), "bootstrap_servers": kafka.bootstrap}
    assert {name: value for name, value in fausts.items() if value is not None} == client_arguments(kafka)
    assert SECRET not in repr(told)


def test_a_password_may_come_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    own = {**SASL, "KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": str(file)}
    made = settings(monkeypatch, own)
    assert made.kafka.sasl_password == SECRET
    assert SECRET not in made.environment().values(), "a child reads the file itself"


def test_the_password_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, SASL)
    for shown in (repr(made), str(made), repr(made.kafka), str(made.kafka), made.model_dump_json()):
        assert SECRET not in shown
    assert made.environment()["KAFKA_SASL_PASSWORD"] == SECRET, "children need it"


def test_settings_with_security_go_to_child_processes_and_come_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, SASL)
    assert settings(monkeypatch, made.environment()) == made
    own = made.without_kafka()
    assert settings(monkeypatch, own.environment()) == own, "what was taken back is not inherited"
    assert given(own.kafka) == {"bootstrap_servers": "", "security_protocol": "PLAINTEXT"}


MISSING = "/no/such/file"
WITHOUT: list[tuple[dict[str, str], list[str]]] = [
    ({**SASL, "KAFKA_SASL_MECHANISM": ""}, ["KAFKA_SASL_MECHANISM is not set", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"]),
    ({**SASL, "KAFKA_SASL_USERNAME": ""}, ["KAFKA_SASL_USERNAME is not set", "SASL_SSL"]),
    ({**SASL, "KAFKA_SASL_PASSWORD": ""}, ["KAFKA_SASL_PASSWORD is not set", "KAFKA_SASL_PASSWORD_FILE"]),
    ({**SASL, "KAFKA_SECURITY_PROTOCOL": "SSL"}, ["KAFKA_SASL_MECHANISM is 'SCRAM-SHA-512'", "SASL_SSL"]),
    ({"KAFKA_SASL_USERNAME": "billing"}, ["KAFKA_SASL_USERNAME is 'billing'", "PLAINTEXT", "SASL_SSL"]),
    ({"KAFKA_SASL_PASSWORD": SECRET}, ["KAFKA_SASL_PASSWORD is set", "PLAINTEXT"]),
    ({**SASL, "KAFKA_SASL_PASSWORD_FILE": MISSING}, ["KAFKA_SASL_PASSWORD and", MISSING, "choose one"]),
    ({**SASL, "KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": MISSING}, [MISSING, "No such file"]),
    ({**SASL, "KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": "/dev/null"}, ["/dev/null", "is empty"]),
    ({**SASL, "KAFKA_BOOTSTRAP_SERVERS": ""}, ["KAFKA_BOOTSTRAP_SERVERS is not set", "SASL_SSL"]),
    ({**TLS, "KAFKA_SSL_CA_FILE": MISSING}, [f"KAFKA_SSL_CA_FILE is '{MISSING}'", "no such file"]),
    ({**TLS, "KAFKA_SSL_CA_FILE": __file__}, [f"KAFKA_SSL_CA_FILE is '{__file__}'", "PEM"]),
    ({**TLS, "KAFKA_SSL_CERTIFICATE_FILE": __file__}, ["KAFKA_SSL_CERTIFICATE_FILE", "KAFKA_SSL_KEY_FILE is not set"]),
    ({**TLS, "KAFKA_SSL_KEY_FILE": __file__}, ["KAFKA_SSL_KEY_FILE", "KAFKA_SSL_CERTIFICATE_FILE is not set"]),
    ({"KAFKA_SSL_CA_FILE": __file__}, ["KAFKA_SSL_CA_FILE", "PLAINTEXT", "not encrypted"]),
    ({"KAFKA_SSL_CHECK_HOSTNAME": "false"}, ["KAFKA_SSL_CHECK_HOSTNAME is false", "PLAINTEXT"]),
]


@pytest.mark.parametrize(("variables", "words"), WITHOUT)
def test_what_makes_no_sense_is_refused_at_start_with_names_values_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(monkeypatch, variables)
    assert [word for word in words if word not in str(refused.value)] == [], str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), [("KAFKA_SECURITY_PROTOCOL", "TLS"), ("KAFKA_SASL_MECHANISM", "GSSAPI")])
def test_a_value_that_is_none_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is '{value}': Input should be .*PLAIN") as refused:
        settings(monkeypatch, {**SASL, name: value})
    assert SECRET not in str(refused.value)
    with pytest.raises(ConfigurationError, match=f"{name} is '{value}': choose one of "):
        Kafka("kafka:9093", **{name.removeprefix("KAFKA_").lower(): value})  # type: ignore[arg-type]


def test_a_key_that_is_encrypted_or_not_the_certificates_is_refused_without_asking_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: Authority, client: Signed
) -> None:
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(client.key), "-aes256", "-passout", "pass:x", "-out", str(encrypted)],
        check=True, capture_output=True,
    )  # fmt: skip
    other = shutil.copy(authority.sign("other", "DNS:other").key, tmp_path / "other.key")
    for key in (encrypted, other):
        with pytest.raises(ConfigurationError, match=rf"KAFKA_SSL_KEY_FILE '{key}' cannot be used .*openssl pkey"):
            Kafka(
                "kafka:9093", security_protocol="SSL", ssl_certificate_file=client.certificate, ssl_key_file=Path(key)
            )
