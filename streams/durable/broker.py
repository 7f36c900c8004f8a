"""What a Faust app is told of its Kafka: Faust's own words for what `schemas.kafka` gives other clients."""

from __future__ import annotations

from typing import Any

import faust

from schemas.kafka import Kafka


def broker_settings(kafka: Kafka) -> dict[str, Any]:
    """`broker` and, where it wants TLS or a password, `broker_credentials`: for consumer and producer alike."""
    servers = [f"kafka://{server.strip()}" for server in kafka.bootstrap.split(",")]
    if kafka.with_sasl:
        credentials = faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            ssl_context=kafka.ssl_context,
            mechanism=kafka.sasl_mechanism,
        )
    elif kafka.with_tls:
        credentials = faust.SSLCredentials(kafka.ssl_context)
    else:
        return {"broker": servers}
    return {"broker": servers, "broker_credentials": credentials}
