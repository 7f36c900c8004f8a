-- What became of alerts on their way to people (A3): each step of each mail and webhook delivery, as MAILER told it.

-- A step told twice (MAILER was killed in between) is two rows; `deliveries` counts it once.
CREATE TABLE mails
(
    kafka_partition UInt32,
    kafka_offset    UInt64,
    kafka_append    DateTime64(3, 'UTC'),
    delivery_id     String,
    workspace       LowCardinality(String),
    app             LowCardinality(String),
    alert_id        String,
    kind            LowCardinality(String),
    alert_time      DateTime64(6, 'UTC'),
    channel         LowCardinality(String),
    recipient       String,
    status          LowCardinality(String),
    time            DateTime64(6, 'UTC'),
    round           UInt32,
    attempts        UInt32,
    next            Nullable(DateTime64(6, 'UTC')),
    uncertain       Bool,
    message_id      String,
    detail          String
)
ENGINE = MergeTree
ORDER BY (workspace, time, delivery_id, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- Each delivery as it stands now: its newest round, in that its latest attempt, in that its last step.
CREATE VIEW deliveries AS
SELECT
    m.workspace AS workspace, m.delivery_id AS delivery_id, any(m.app) AS app, any(m.alert_id) AS alert_id,
    any(m.kind) AS kind, any(m.alert_time) AS alert_time, any(m.channel) AS channel, any(m.recipient) AS recipient,
    min(m.time) AS planned, max((m.round, m.attempts, m.status != 'planned', m.kafka_offset)) AS newest,
    argMax((m.status, m.time, m.next, m.uncertain, m.message_id, m.detail),
        (m.round, m.attempts, m.status != 'planned', m.kafka_offset)) AS last,
    last.1 AS status, last.2 AS time, last.3 AS next, last.4 AS uncertain, last.5 AS message_id, last.6 AS detail,
    newest.1 AS round, newest.2 AS attempts
FROM mails AS m
GROUP BY workspace, delivery_id;
