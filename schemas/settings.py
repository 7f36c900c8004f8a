"""Settings: read once per process from the environment, passed down (house style 12)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.topics import DEFAULT_PARTITIONS

_MICRO = timedelta(microseconds=1)


LogFormat = Literal["text", "json"]


class Settings(BaseSettings):
    """What every process may need. Names are the environment variables' (prefix `QUARTERHOUR_` where not given)."""

    model_config = SettingsConfigDict(env_prefix="QUARTERHOUR_", frozen=True, populate_by_name=True)

    kafka_bootstrap_servers: str = Field(
        "",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        description="`host:port,...` of the Kafka to use; empty: the local stack's own",
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
                values[variable] = str(value)
        return values

    @property
    def allowed_lateness_us(self) -> int:
        """The allowed lateness in microseconds."""
        return timedelta(seconds=self.allowed_lateness_seconds) // _MICRO
