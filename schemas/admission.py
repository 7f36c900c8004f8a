"""Why a Kafka does not let us in, as a sentence that says what to check.

Clients of Kafka try for ever and tell a wrong password, a certificate nobody trusts and a broker that is away much
alike. So where one fails, and once before a process begins, this looks itself: one connection, one question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from typing import NamedTuple

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from schemas.errors import ConfigurationError
from schemas.kafka import Address, Kafka, client_arguments

log = logging.getLogger("quarterhour.kafka")
_ANSWER_MS = 5_000
_HOSTNAME_MISMATCH = 62
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH."""


class NotAdmitted(ConfigurationError):
    """Kafka answers and refuses us; trying again with the same settings does not help."""


class Refusal(NamedTuple):
    """What Kafka has against us, empty when nothing, and whether it is sure: a broker on its way down or up also closes
    connections."""

    words: str
    certain: bool


_NONE = Refusal("", certain=False)


async def refusal(kafka: Address) -> Refusal:
    """Ask; nothing when Kafka lets us in, or when nothing answers, which is no refusal."""
    asked = kafka if isinstance(kafka, Kafka) else Kafka(kafka)
    found = _NONE
    for server in asked.bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            await _ask(asked, host.strip("[]"), int(port))
        except ConnectionRefusedError:
            continue
        except (OSError, KafkaError, TimeoutError, ValueError) as error:
            found = found if found.words else _told(asked, server.strip(), error)
        else:
            return _NONE
    return found


async def admitted(kafka: Address) -> None:
    """Raises NotAdmitted when Kafka surely refuses us. One that is away is no reason: clients wait for it."""
    found = await refusal(kafka)
    if found.certain:
        raise NotAdmitted(found.words)
    if found.words:
        log.warning("%s", found.words)


async def or_refused(kafka: Address, otherwise: str) -> str:
    """The reason why a client failed: Kafka's refusal, where there is one."""
    return (await refusal(kafka)).words or otherwise


async def _ask(kafka: Kafka, host: str, port: int) -> None:
    arguments = client_arguments(kafka)
    del arguments["bootstrap_servers"]
    async with asyncio.timeout(_ANSWER_MS / 1000):
        connection = await create_conn(
            host, port, client_id="quarterhour-admission", request_timeout_ms=_ANSWER_MS, **arguments
        )
        try:
            await connection.send(MetadataRequest([]))
        finally:
            closed = connection.close()
            with contextlib.suppress(OSError, TimeoutError):
                await closed


def _told(kafka: Kafka, server: str, error: BaseException) -> Refusal:
    who = f"Kafka at {server}"
    match error:
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return _sure(
                f"{who} does not take the password of user {kafka.sasl_username!r} ({kafka.sasl_mechanism}): check "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE, and that Kafka knows the "
                "user under this mechanism"
            )
        case UnsupportedSaslMechanismError():
            return _sure(f"{who} does not offer {kafka.sasl_mechanism}: check KAFKA_SASL_MECHANISM ({error})")
        case IllegalSaslStateError():
            return _sure(f"{who} signs nobody in there: check KAFKA_SECURITY_PROTOCOL ({kafka.security_protocol})")
        case ssl.SSLCertVerificationError() if error.verify_code == _HOSTNAME_MISMATCH:
            return _sure(
                f"{who} has a certificate for another host name ({error.verify_message}): connect under a name that it "
                "holds (KAFKA_BOOTSTRAP_SERVERS, advertised.listeners), or set KAFKA_SSL_CHECK_HOSTNAME=false"
            )
        case ssl.SSLCertVerificationError():
            trusted = f"KAFKA_SSL_CA_FILE is '{kafka.ssl_ca_file}'" if kafka.ssl_ca_file else "the system's are trusted"
            return _sure(
                f"{who} has a certificate that is not trusted ({error.verify_message}): name its authority in "
                f"KAFKA_SSL_CA_FILE ({trusted})"
            )
        case ssl.SSLError() | ConnectionError() | KafkaConnectionError():
            return Refusal(f"{who} closed the connection ({_cause(error)}): {_advice(kafka)}", certain=False)
    return _NONE


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__


def _advice(kafka: Kafka) -> str:
    listener = f"check that the listener is {kafka.security_protocol}, as KAFKA_SECURITY_PROTOCOL says"
    if not kafka.with_tls:
        return f"{listener}; one that wants TLS or a password answers so"
    if kafka.ssl_certificate_file is None:
        return f"{listener}, and whether it wants a client certificate (KAFKA_SSL_CERTIFICATE_FILE)"
    return f"{listener}, and that Kafka trusts the authority of KAFKA_SSL_CERTIFICATE_FILE"


def _sure(words: str) -> Refusal:
    return Refusal(words, certain=True)
