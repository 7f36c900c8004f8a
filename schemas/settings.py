"""Settings: read once per process from the environment, passed down (house style 12)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import ConfigurationError
from schemas.kafka import Kafka, SaslMechanism, SecurityProtocol
from schemas.topics import DEFAULT_PARTITIONS

_MICRO = timedelta(microseconds=1)


_EMPTY_IS_NOT_SET = (
    "kafka_sasl_mechanism", "kafka_sasl_password", "kafka_sasl_password_file",
    "kafka_ssl_ca_file", "kafka_ssl_certificate_file", "kafka_ssl_key_file",
)  # fmt: skip

LogFormat = Literal["text", "json"]


class Settings(BaseSettings):
    """What every process may need. Names are the environment variables' (prefix `QUARTERHOUR_` where not given)."""

    model_config = SettingsConfigDict(env_prefix="QUARTERHOUR_", frozen=True, populate_by_name=True)

    kafka_bootstrap_servers: str = Field(
        "",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="`host:port,...` of the Kafka to use; empty: the local stack's own",
    )
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT",
        validation_alias="KAFKA_SECURITY_PROTOCOL",
        description="what Kafka's listener wants: `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
    )
    kafka_sasl_mechanism: SaslMechanism | None = Field(
        None,
        validation_alias="KAFKA_SASL_MECHANISM",
        description="how clients sign in to Kafka: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`",
    )
    kafka_sasl_username: str = Field("", validation_alias="KAFKA_SASL_USERNAME", description="who signs in to Kafka")
    kafka_sasl_password: SecretStr | None = Field(
        None, validation_alias="KAFKA_SASL_PASSWORD", description="the user's password at Kafka"
    )
    kafka_sasl_password_file: Path | None = Field(
        None,
        validation_alias="KAFKA_SASL_PASSWORD_FILE",
        description="file that holds that password instead, as secrets of Docker and Kubernetes are mounted",
    )
    kafka_ssl_ca_file: Path | None = Field(
        None,
        validation_alias="KAFKA_SSL_CA_FILE",
        description="certificates (PEM) to trust of Kafka; default: the system's",
    )
    kafka_ssl_certificate_file: Path | None = Field(
        None,
        validation_alias="KAFKA_SSL_CERTIFICATE_FILE",
        description="our certificate (PEM), for a Kafka that wants one of its clients",
    )
    kafka_ssl_key_file: Path | None = Field(
        None, validation_alias="KAFKA_SSL_KEY_FILE", description="that certificate's key (PEM, not encrypted)"
    )
    kafka_ssl_check_hostname: bool = Field(
        True,
        validation_alias="KAFKA_SSL_CHECK_HOSTNAME",
        description="whether Kafka's certificate must name the host that we connect to",
    )
    clickhouse_url: str = Field(
        "",
        validation_alias="CLICKHOUSE_URL",
        description="`http://user:password@host:port/database` of the ClickHouse to use; empty: the local stack's own",
    )
    home: Path | None = Field(None, description="where the local stack keeps its data; default `./.quarterhour`")
    catalog: Path | None = Field(None, description="another plan catalog file than the one that ships")
    interaction_partitions: int = Field(DEFAULT_PARTITIONS, ge=1, le=4096, description="partitions of `interactions`")
    account_partitions: int = Field(
        DEFAULT_PARTITIONS,
        ge=1,
        le=4096,
        description="partitions of `account.inbox` and all that is keyed by workspace",
    )
    allowed_lateness_seconds: int = Field(
        24 * 3600, ge=0, le=90 * 24 * 3600, description="how late an event may arrive and still be metered (U6)"
    )
    session_timeout_seconds: int = Field(8, ge=1, le=300, description="how soon a dead worker's partitions move on")
    group_instance_id: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,200}$",
        description="stable name of a METER, ACCOUNTS or MAILER worker, unlike that of every other: back within the "
        "session timeout, it has its partitions again without a rebalance",
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="port where a worker serves `/metrics`, `/health`, `/ready`; default: none"
    )
    bind_address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="address that metrics, page and doors listen on; `0.0.0.0` in a container",
    )
    replication_factor: int = Field(
        1, ge=1, le=9, description="replicas of the topics that `quarterhour prepare` creates"
    )
    kafka_port: int | None = Field(None, ge=1, le=65535, description="port of the local Kafka; default: a free one")
    clickhouse_port: int | None = Field(
        None, ge=1, le=65535, description="port of the local ClickHouse; default: a free one"
    )
    page_port: int | None = Field(
        None, ge=1, le=65535, description="port of the local Plan & Usage page; default: a free one"
    )
    accounts_port: int | None = Field(
        None, ge=1, le=65535, description="port of the local account API; default: a free one"
    )
    accounts_url: str = Field("", description="address of the account API; empty: the local stack's own")
    answer_seconds: float = Field(
        1.0, gt=0, le=9, description="how long the account API waits for what a command led to, before it answers 202"
    )
    token: str = Field(
        "", repr=False, description="sign-in token that `quarterhour account` uses; see `quarterhour token`"
    )
    signing_key: str = Field(
        "",
        repr=False,
        description="secret that signs sign-in tokens, 32 bytes or more; the local stack makes one for each world",
    )
    tickets_url: str = Field(
        "", pattern="^$|^https?://", description="where people open support tickets, linked on the page"
    )
    community_url: str = Field("", pattern="^$|^https?://", description="where the community is, linked on the page")
    ingest_port: int | None = Field(
        None, ge=1, le=65535, description="port of the local HTTP ingest; default: a free one"
    )
    ingest_in_flight_bytes: int = Field(
        64 * 1024 * 1024,
        ge=8 * 1024 * 1024,  # two of the largest requests
        description="bytes of requests that the HTTP ingest holds before it answers 429",
    )
    smtp_url: str = Field(
        "",
        repr=False,
        description="where MAILER hands in mail: `smtp://host:port`, `smtp+starttls://user:password@host:port` or "
        "`smtps://...`; empty: the local stack's own catcher",
    )
    smtp_ca_file: Path | None = Field(
        None, description="certificates to trust of the mail server; default: the system's"
    )
    mailbox_url: str = Field(
        "",
        pattern="^$|^https?://",
        description="where the page finds the mails that the catcher caught; empty: the local stack's own",
    )
    mail_from: str = Field(
        "Quarterhour <alerts@quarterhour.example>", description="sender of mails: `address` or `Name <address>`"
    )
    mail_timeout_seconds: float = Field(
        30, gt=0, le=600, description="how long a mail server or a webhook may take for one answer"
    )
    mail_retry_seconds: float = Field(
        30, gt=0, le=3600, description="first wait after a delivery failed; doubled each time, to an hour"
    )
    mail_give_up_hours: int = Field(
        120, ge=1, le=24 * 365, description="a delivery that has failed for so long ends in `mails.dead`"
    )
    mail_port: int | None = Field(
        None, ge=1, le=65535, description="port of the local mail catcher; default: a free one"
    )
    webhook_loopback: bool = Field(
        False, description="webhooks may be posted to loopback, also by http; for development"
    )
    log_format: LogFormat = Field("text", description="logs as `text`, or as `json`: one object a line")
    otel_endpoint: str = Field(
        "",
        pattern="^$|^https?://",
        description="where spans go: OTLP over HTTP, e.g. `http://127.0.0.1:4318`; empty: no traces",
    )
    otel_sample_ratio: float = Field(
        0.01, ge=0, le=1, description="of events that bring no trace of their own, the share the HTTP ingest traces"
    )
    throwaway: bool = Field(False, description="the broker is the throw-away one, which knows no idempotent producers")
    transport: Literal["batch", "stock"] = Field(
        "batch", description="how Faust is fed: one message a run of records, or one a record"
    )
    batch_records: int = Field(
        10_000, ge=1, le=20_000, description="the most records a worker makes durable at once; up to 3 batches overlap"
    )
    fail_point: str = Field(
        "",
        description="for tests: die after this step of the protocol, e.g. `outputs:3` (of the third batch)",
    )

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for child processes."""
        values: dict[str, str] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            alias = field.validation_alias
            variable = alias if isinstance(alias, str) else f"QUARTERHOUR_{name.upper()}"
            if value is not None:
                values[variable] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            elif name in _EMPTY_IS_NOT_SET:
                values[variable] = ""  # a child shall not inherit what was taken back
        return values

    @property
    def kafka(self) -> Kafka:
        """The Kafka to use and how to be let in; the password is read from its file each time."""
        return Kafka(
            self.kafka_bootstrap_servers,
            security_protocol=self.kafka_security_protocol,
            sasl_mechanism=self.kafka_sasl_mechanism,
            sasl_username=self.kafka_sasl_username,
            sasl_password=self._kafka_password(),
            ssl_ca_file=self.kafka_ssl_ca_file,
            ssl_certificate_file=self.kafka_ssl_certificate_file,
            ssl_key_file=self.kafka_ssl_key_file,
            ssl_check_hostname=self.kafka_ssl_check_hostname,
        )

    def named_kafka(self) -> Kafka:
        """`kafka`, for a process that can do nothing without one; ConfigurationError where none is named."""
        if not self.kafka_bootstrap_servers:
            raise ConfigurationError("KAFKA_BOOTSTRAP_SERVERS is not set: name the Kafka to use, e.g. 127.0.0.1:9092")
        return self.kafka

    def without_kafka(self) -> Settings:
        """The same with no Kafka given: the local stack's own, which wants neither TLS nor a password."""
        return self.model_copy(
            update={name: field.default for name, field in type(self).model_fields.items() if name.startswith("kafka_")}
        )

    @model_validator(mode="wrap")
    @classmethod
    def _refused_by_name(cls, values: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return validate(values)
        except ValidationError as error:
            raise ConfigurationError("; ".join(map(cls._told, error.errors()))) from None

    @classmethod
    def _told(cls, error: ErrorDetails) -> str:
        """One fault: the variable, its value unless it is a secret, and what is wanted."""
        named = str(error["loc"][0]) if error["loc"] else ""
        field = next((f for n, f in cls.model_fields.items() if named in (n, f.validation_alias)), None)
        variable = named if field is None or field.validation_alias == named else f"QUARTERHOUR_{named.upper()}"
        secret = field is None or not field.repr or error["type"].startswith("secret")
        found = "cannot be used" if secret else f"is {error['input']!r}"
        return f"{variable} {found}: {error['msg']}"

    @field_validator(*_EMPTY_IS_NOT_SET, mode="before")
    @classmethod
    def _empty_is_not_set(cls, value: object) -> object:
        return None if value == "" else value

    @model_validator(mode="after")
    def _kafka_makes_sense(self) -> Self:
        if self.kafka.security_protocol != "PLAINTEXT" and not self.kafka_bootstrap_servers:
            raise ConfigurationError(
                f"KAFKA_SECURITY_PROTOCOL is {self.kafka_security_protocol}, but KAFKA_BOOTSTRAP_SERVERS is not set: "
                "name the Kafka to use; the local stack's own is PLAINTEXT"
            )
        return self

    def _kafka_password(self) -> str:
        given, path = self.kafka_sasl_password, self.kafka_sasl_password_file
        if path is None:
            return given.get_secret_value() if given is not None else ""
        if given is not None:
            raise ConfigurationError(f"KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE ('{path}') are set: choose one")
        try:
            password = path.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigurationError(
                f"KAFKA_SASL_PASSWORD_FILE is '{path}', which cannot be read ({why}): check the path, or mount it"
            ) from None
        if not password:
            raise ConfigurationError(f"KAFKA_SASL_PASSWORD_FILE is '{path}', which is empty: write the password to it")
        return password

    @property
    def allowed_lateness_us(self) -> int:
        """The allowed lateness in microseconds."""
        return timedelta(seconds=self.allowed_lateness_seconds) // _MICRO
