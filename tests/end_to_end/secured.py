"""A real Kafka that wants TLS and a password, with listeners of each kind and rights for what we do only."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from schemas.admission import refusal
from schemas.kafka import Kafka
from schemas.topics import ENTITLEMENTS, INTERACTIONS, topic_table
from scripts.soaking.broker import Broker
from scripts.stack.kafka_artifacts import KafkaArtifacts
from scripts.stack.ports import LOOPBACK, free_port
from tests.certificates import Authority

SCRAM_USER, PLAIN_USER = "billing", "plain-user"
PASSWORD = "correct horse battery staple"

# Of properties that are given twice, the last counts.
_SECURITY = """
listeners=PLAINTEXT://{host}:{plain},CONTROLLER://{host}:{controller},SASL://{host}:{sasl},MUTUAL://{host}:{mutual}
advertised.listeners=PLAINTEXT://{host}:{plain},SASL://{host}:{sasl},MUTUAL://{host}:{mutual}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_SSL,MUTUAL:SSL
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{plain_user}="{password}";
listener.name.mutual.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
"""


class SecuredKafka:
    """Use as a context manager. `sasl` is its Kafka for SCRAM_USER; `mutual` for who shows a certificate."""

    def __init__(self, artifacts: KafkaArtifacts, folder: Path) -> None:
        self.authority = Authority(folder / "certificates", "authority")
        server = self.authority.sign("server", f"IP:{LOOPBACK}")  # and not localhost
        client = self.authority.sign("client", "DNS:client")
        self.keystore = folder / "keystore.pem"
        self.keystore.write_text(server.key.read_text() + server.certificate.read_text())
        self.ports = {"sasl": free_port(), "mutual": free_port()}
        self.sasl = Kafka(
            f"{LOOPBACK}:{self.ports['sasl']}", security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512",
            sasl_username=SCRAM_USER, sasl_password=PASSWORD, ssl_ca_file=self.authority.certificate,
        )  # fmt: skip
        self.mutual = Kafka(
            f"{LOOPBACK}:{self.ports['mutual']}", security_protocol="SSL", ssl_ca_file=self.authority.certificate,
            ssl_certificate_file=client.certificate, ssl_key_file=client.key,
        )  # fmt: skip
        self.broker = Broker(artifacts, folder)

    def __enter__(self) -> Self:
        asyncio.run(self._start())
        self._add_user()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.broker.kill()

    async def _start(self) -> None:
        node = self.broker.node
        text = _SECURITY.format(
            host=LOOPBACK, plain=node.port, controller=node.controller_port, plain_user=PLAIN_USER, password=PASSWORD,
            keystore=self.keystore, truststore=self.authority.certificate, **self.ports,
        )  # fmt: skip
        self.broker.node = replace(node, more_properties=text)
        await self.broker.start()

    def _add_user(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        added = UserScramCredentialUpsertion(SCRAM_USER, credential, PASSWORD.encode())
        for future in admin.alter_user_scram_credentials([added]).values():
            future.result(30)
        for future in admin.create_acls(_rights()).values():
            future.result(30)
        deadline = time.monotonic() + 30
        while words := asyncio.run(refusal(self.sasl)).words:  # until the node has heard of the user
            assert time.monotonic() < deadline, words
            time.sleep(0.1)


def _rights() -> list[AclBinding]:
    """What scripts/deploy/README.md says that our user needs, and a gateway's: PLAIN_USER."""
    literal, prefixed, on = ResourcePatternType.LITERAL, ResourcePatternType.PREFIXED, AclOperation
    ours = [
        (SCRAM_USER, ResourceType.TOPIC, topic.name, literal, operation)
        for topic in topic_table()
        for operation in (on.READ, on.WRITE, on.CREATE, on.DESCRIBE_CONFIGS)
    ]
    prefix = "quarterhour-"
    wanted = [
        *ours,
        (SCRAM_USER, ResourceType.GROUP, prefix, prefixed, on.READ),
        (SCRAM_USER, ResourceType.TRANSACTIONAL_ID, prefix, prefixed, on.WRITE),
        (SCRAM_USER, ResourceType.TRANSACTIONAL_ID, prefix, prefixed, on.DESCRIBE),
        (PLAIN_USER, ResourceType.TOPIC, INTERACTIONS, literal, on.WRITE),
        (PLAIN_USER, ResourceType.TOPIC, ENTITLEMENTS, literal, on.READ),
    ]
    return [
        AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
        for user, kind, name, pattern, operation in wanted
    ]
