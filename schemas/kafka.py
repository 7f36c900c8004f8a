"""Where a Kafka is and what it wants of its clients: the one place that makes the arguments of every Kafka client.

Leaves to others: where the values come from (`schemas.settings`), and why a Kafka refuses them (`schemas.admission`).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Literal, get_args

from schemas.errors import ConfigurationError

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_SASL: Final = ("sasl_mechanism", "sasl_username", "sasl_password")
_FILES: Final = ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file")


@dataclass(frozen=True)
class Kafka:
    """One Kafka: `Kafka("kafka:9093", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", ...)`.

    The fields are the settings KAFKA_... of the same names, and errors name them so. Raises ConfigurationError for what
    makes no sense together or cannot be read. Certificates are read once, here.
    """

    bootstrap: str
    """`host:port,...`"""
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_ca_file: Path | None = None
    ssl_certificate_file: Path | None = None
    ssl_key_file: Path | None = None
    ssl_check_hostname: bool = True

    def __post_init__(self) -> None:
        _check_choices(self)
        _check_sasl(self)
        _check_tls(self)

    def __str__(self) -> str:
        """The address alone, for messages."""
        return self.bootstrap

    @property
    def with_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def with_sasl(self) -> bool:
        """Whether clients sign in with a name and a password."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """What TLS rests on, None without; made once."""
        return _new_context(self) if self.with_tls else None


Address = Kafka | str
"""A Kafka; as a string, one that wants neither TLS nor a password."""


def client_arguments(kafka: Address) -> dict[str, object]:
    """What every aiokafka client is given to reach this Kafka: address, protocol, and what that needs."""
    if isinstance(kafka, str):
        return {"bootstrap_servers": kafka}
    found: dict[str, object] = {"bootstrap_servers": kafka.bootstrap, "security_protocol": kafka.security_protocol}
    if kafka.with_tls:
        found["ssl_context"] = kafka.ssl_context
    if kafka.with_sasl:
        found |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password,
        }
    return found


def variable(name: str) -> str:
    """The setting of a field."""
    return f"KAFKA_{name.upper()}"


def _check_choices(kafka: Kafka) -> None:
    for name, among in (("security_protocol", SecurityProtocol), ("sasl_mechanism", SaslMechanism)):
        value, choices = getattr(kafka, name), get_args(among)
        if value not in choices and (value is not None or name == "security_protocol"):
            raise ConfigurationError(f"{variable(name)} is {value!r}: choose one of {', '.join(choices)}")


def _check_sasl(kafka: Kafka) -> None:
    protocol = f"KAFKA_SECURITY_PROTOCOL is {kafka.security_protocol}"
    for name in _SASL:
        given = bool(getattr(kafka, name))
        shown = "is set" if name == "sasl_password" else f"is {getattr(kafka, name)!r}"
        if given and not kafka.with_sasl:
            raise ConfigurationError(
                f"{variable(name)} {shown}, but {protocol}, which signs nobody in: set it to SASL_SSL, or to "
                "SASL_PLAINTEXT inside a network that you trust"
            )
        if kafka.with_sasl and not given:
            say = {
                "sasl_mechanism": f"set it to one of {', '.join(get_args(SaslMechanism))}, as the listener has it",
                "sasl_username": "set it to the user that Kafka knows",
                "sasl_password": "set it, or KAFKA_SASL_PASSWORD_FILE to a file that holds it",
            }[name]
            raise ConfigurationError(f"{protocol}, but {variable(name)} is not set: {say}")


def _check_tls(kafka: Kafka) -> None:
    protocol = f"KAFKA_SECURITY_PROTOCOL is {kafka.security_protocol}"
    for name in _FILES:
        path = getattr(kafka, name)
        if path is None:
            continue
        if not kafka.with_tls:
            raise ConfigurationError(
                f"{variable(name)} is '{path}', but {protocol}, which is not encrypted: set it to SSL or SASL_SSL"
            )
        if not Path(path).is_file():
            raise ConfigurationError(f"{variable(name)} is '{path}': no such file: check the path, or mount it")
    if not kafka.with_tls and not kafka.ssl_check_hostname:
        raise ConfigurationError(f"KAFKA_SSL_CHECK_HOSTNAME is false, but {protocol}: set that to SSL or SASL_SSL")
    for one, other in (_FILES[1:], _FILES[:0:-1]):
        if getattr(kafka, one) is not None and getattr(kafka, other) is None:
            raise ConfigurationError(
                f"{variable(one)} is '{getattr(kafka, one)}', but {variable(other)} is not set: a client certificate "
                "needs both; where one file holds both, name it twice"
            )
    if kafka.with_tls:
        kafka.ssl_context  # noqa: B018 - made now, so that files that cannot be used are refused at start


def _new_context(kafka: Kafka) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(
            f"KAFKA_SSL_CA_FILE is '{kafka.ssl_ca_file}': no certificates can be read from it ({error}); it must hold "
            "the authority's certificates as PEM"
        ) from None
    context.check_hostname = kafka.ssl_check_hostname
    if kafka.ssl_certificate_file is not None:
        try:
            # Without a password given here OpenSSL would ask the terminal for one.
            context.load_cert_chain(kafka.ssl_certificate_file, kafka.ssl_key_file, password="")
        except OSError as error:
            raise ConfigurationError(
                f"KAFKA_SSL_CERTIFICATE_FILE '{kafka.ssl_certificate_file}' and KAFKA_SSL_KEY_FILE "
                f"'{kafka.ssl_key_file}' cannot be used ({error}): both must be PEM, the key the certificate's own and "
                "not encrypted (`openssl pkey -in KEY -out PLAIN` decrypts it)"
            ) from None
    return context
