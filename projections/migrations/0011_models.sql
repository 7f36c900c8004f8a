-- What else the ledger and its neighbours say: what a unit's charge was covered by, what changed beside money (apps, plans,
-- contracts, people, licences, payments), what apps may do, payments asked for. Money is Int64 micro-dollars.

-- Why a charge costs nothing, and the term whose included units it counts in (P4, P3, P11, E4).
ALTER TABLE ledger_charges ADD COLUMN IF NOT EXISTS covered LowCardinality(String) AFTER plan;
ALTER TABLE ledger_charges ADD COLUMN IF NOT EXISTS pool LowCardinality(String) AFTER covered;
-- C4: credit that was moved out of other grants is no new credit.
ALTER TABLE grants ADD COLUMN IF NOT EXISTS moved Bool AFTER app;
-- A3: whom an alert is for, with the address it goes to.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS app LowCardinality(String) AFTER grant_id;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS recipients Array(Tuple(role String, user String, email String)) AFTER app;

-- One row per change a ledger record carries beside money. `subject` is the plan, product, payment or role it names, `body`
-- the whole change as JSON.
CREATE TABLE ledger_changes
(
    kafka_partition UInt32,
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    change_index    UInt16,
    workspace       LowCardinality(String),
    sequence        UInt64 CODEC(Delta, ZSTD(1)),
    time            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    change          LowCardinality(String),
    app             LowCardinality(String),
    user            String CODEC(ZSTD(1)),
    subject         String CODEC(ZSTD(1)),
    from            Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    until           Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    body            String CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (workspace, change, sequence, change_index, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- E1: every entitlement that was published, as far as LOADER saw it; the topic itself keeps the newest of each app.
CREATE TABLE entitlements
(
    kafka_partition     UInt32,
    kafka_offset        UInt64 CODEC(Delta, ZSTD(1)),
    kafka_append        DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    origin_topic        LowCardinality(String),
    origin_partition    UInt64 CODEC(T64, ZSTD(1)),
    origin_offset       UInt64 CODEC(Delta, ZSTD(1)),
    origin_index        UInt64 CODEC(T64, ZSTD(1)),
    workspace           LowCardinality(String),
    app                 LowCardinality(String),
    sequence            UInt64 CODEC(Delta, ZSTD(1)),
    allowed             Bool,
    why                 LowCardinality(String),
    since               DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    plan                LowCardinality(String),
    allowed_requests    Int64 CODEC(T64, ZSTD(1)),
    rate_limits         Map(LowCardinality(String), Int64),
    usage_limits        Map(LowCardinality(String), Int64),
    balance             LowCardinality(String),
    average_daily_units Int64 CODEC(T64, ZSTD(1)),
    burn_micros         Int64 CODEC(T64, ZSTD(1)),
    days_left           Nullable(Int64) CODEC(ZSTD(1)),
    term_ends           Nullable(DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    support_plan        LowCardinality(String),
    inactive            Bool,
    paid                Bool
)
ENGINE = MergeTree
ORDER BY (workspace, app, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000;

-- C10, P8: payments asked for, as the payment system was told.
CREATE TABLE payment_requests
(
    kafka_partition  UInt32,
    kafka_offset     UInt64,
    kafka_append     DateTime64(3, 'UTC'),
    origin_topic     LowCardinality(String),
    origin_partition UInt64,
    origin_offset    UInt64,
    origin_index     UInt64,
    workspace        LowCardinality(String),
    payment_id       String,
    purpose          LowCardinality(String),
    subject          String,
    amount_micros    Int64,
    due              DateTime64(6, 'UTC'),
    requested        DateTime64(6, 'UTC'),
    sequence         UInt64,
    method           LowCardinality(String)
)
ENGINE = MergeTree
ORDER BY (workspace, requested, payment_id, kafka_offset)
SETTINGS non_replicated_deduplication_window = 1000;

-- E1, C11: per app, what it may do now, and the workspace's balance status, daily average, burn rate and days left.
CREATE VIEW app_entitlements AS
SELECT
    e.workspace AS workspace, e.app AS app, max(e.sequence) AS sequence,
    argMax(e.allowed, e.kafka_offset) AS allowed, argMax(e.why, e.kafka_offset) AS why,
    argMax(e.since, e.kafka_offset) AS since, argMax(e.plan, e.kafka_offset) AS plan,
    argMax(e.allowed_requests, e.kafka_offset) AS allowed_requests,
    argMax(e.rate_limits, e.kafka_offset) AS rate_limits, argMax(e.usage_limits, e.kafka_offset) AS usage_limits,
    argMax(e.balance, e.kafka_offset) AS balance, argMax(e.average_daily_units, e.kafka_offset) AS average_daily_units,
    argMax(e.burn_micros, e.kafka_offset) AS burn_micros, argMax((e.days_left,), e.kafka_offset).1 AS days_left,
    argMax((e.term_ends,), e.kafka_offset).1 AS term_ends, argMax(e.support_plan, e.kafka_offset) AS support_plan,
    argMax(e.inactive, e.kafka_offset) AS inactive, argMax(e.paid, e.kafka_offset) AS paid
FROM entitlements AS e
GROUP BY workspace, app;

-- E4, W1, W2: per app its owner, when it was created (NULL: first seen by its first charged unit), what it was made for,
-- and whether it is `draft`, `published` or `unpublished`.
CREATE VIEW app_profiles AS
SELECT
    c.workspace AS workspace, c.app AS app,
    argMaxIf(c.user, (c.sequence, c.change_index), c.change IN ('app_created', 'app_transferred')) AS owner,
    minIf(c.from, c.change = 'app_created') AS created,
    JSONExtract(anyIf(c.body, c.change = 'app_created'), 'products', 'Array(String)') AS products,
    multiIf(
        countIf(c.change IN ('app_appeared', 'app_published', 'app_unpublished')) = 0, 'draft',
        argMaxIf(c.change, (c.sequence, c.change_index), c.change IN ('app_appeared', 'app_published', 'app_unpublished'))
            = 'app_unpublished', 'unpublished',
        'published'
    ) AS status,
    argMaxIf((c.from,), (c.sequence, c.change_index), c.change IN ('app_published', 'app_unpublished')).1 AS status_since
FROM ledger_changes AS c
WHERE c.change IN ('app_appeared', 'app_created', 'app_published', 'app_unpublished', 'app_transferred')
GROUP BY workspace, app;

-- P3, P4, P7, P8, P11: every time an app was on another plan than the default one (`kind` app), every contract and every
-- time of paid support (their app is empty); `until` NULL: until further notice. `unpaid`: it ended because of a fee.
-- `terms`: the change as JSON, with a contract's figures or the fee of support.
CREATE VIEW plan_history AS
SELECT
    s.workspace AS workspace, s.kind AS kind, s.app AS app, s.event.1.1 AS sequence, s.event.5 AS plan,
    s.event.6 AS period, s.event.2 AS from,
    arrayMin(e -> e.2, arrayPushBack(s.later, (s.event.1, s.event.4, false, s.event.4, '', '', false, '', false))) AS ended,
    nullIf(ended, toDateTime64('2299-01-01 00:00:00', 6, 'UTC')) AS until,
    arrayExists(e -> e.7 AND e.2 = ended, s.later) AS unpaid,
    s.event.8 AS terms
FROM
(
    SELECT workspace, kind, app, event, arraySlice(events, place + 1) AS later
    FROM
    (
        SELECT
            c.workspace AS workspace, c.app AS app,
            multiIf(startsWith(c.change, 'contract'), 'contract', startsWith(c.change, 'support'), 'support', 'app') AS kind,
            arraySort(e -> e.1, groupArray((
                (c.sequence, c.change_index),
                ifNull(if(endsWith(c.change, '_ends'), c.until, c.from), c.time),
                c.change IN ('plan_taken', 'contract_began', 'support_taken'),
                ifNull(
                    if(
                        c.change = 'contract_began',
                        fromUnixTimestamp64Micro(JSONExtract(c.body, 'contract', 'ends_us', 'Nullable(Int64)'), 'UTC'),
                        c.until
                    ),
                    toDateTime64('2299-01-01 00:00:00', 6, 'UTC')
                ),
                c.subject,
                multiIf(
                    c.change = 'contract_began', JSONExtractString(c.body, 'contract', 'term'),
                    c.change = 'support_taken', 'monthly',
                    JSONExtractString(c.body, 'period')
                ),
                JSONExtractBool(c.body, 'unpaid'),
                c.body,
                endsWith(c.change, '_resumed')
            ))) AS told,
            -- P8: an end that was taken back never was.
            arrayFilter((e, place) -> NOT e.9 AND NOT (told[place + 1].9), told, arrayEnumerate(told)) AS events
        FROM ledger_changes AS c
        WHERE c.change IN (
            'plan_taken', 'plan_ends', 'plan_resumed', 'contract_began', 'contract_ends', 'support_taken', 'support_ends',
            'support_resumed'
        )
        GROUP BY workspace, kind, app
    )
    ARRAY JOIN events AS event, arrayEnumerate(events) AS place
    WHERE event.3
) AS s
WHERE from < ended;

-- W1, W2: who belongs to a workspace, as what, since when, and where the person is reached (A3).
CREATE VIEW people AS
SELECT
    c.workspace AS workspace, c.user AS user,
    argMaxIf(c.subject, (c.sequence, c.change_index), c.change = 'person_changed') AS role,
    argMaxIf(c.time, (c.sequence, c.change_index), c.change = 'person_changed') AS since,
    argMaxIf(JSONExtractString(c.body, 'email'), (c.sequence, c.change_index), JSONHas(c.body, 'email')) AS email
FROM ledger_changes AS c
WHERE c.change IN ('person_changed', 'person_removed', 'email_set')
GROUP BY workspace, user
HAVING argMaxIf(c.change, (c.sequence, c.change_index), c.change != 'email_set') = 'person_changed';

-- W2: who works on an app besides its owner.
CREATE VIEW collaborators AS
SELECT
    c.workspace AS workspace, c.app AS app, c.user AS user, argMax(c.subject, (c.sequence, c.change_index)) AS role,
    argMax(c.time, (c.sequence, c.change_index)) AS since
FROM ledger_changes AS c
LEFT JOIN
(
    SELECT workspace, user, max(sequence) AS removed FROM ledger_changes WHERE change = 'person_removed' GROUP BY ALL
) AS gone ON gone.workspace = c.workspace AND gone.user = c.user
WHERE c.change IN ('collaborator_added', 'collaborator_removed', 'app_transferred') AND c.sequence > gone.removed
GROUP BY workspace, app, user
HAVING argMax(c.change, (c.sequence, c.change_index)) = 'collaborator_added';

-- P10: the products a workspace has licensed.
CREATE VIEW licences AS
SELECT c.workspace AS workspace, c.subject AS product, argMax(c.time, (c.sequence, c.change_index)) AS since
FROM ledger_changes AS c
WHERE c.change IN ('licence_assigned', 'licence_removed')
GROUP BY workspace, product
HAVING argMax(c.change, (c.sequence, c.change_index)) = 'licence_assigned';

-- C10, P8: payments asked for, and what became of them: `open`, `settled` or `failed` (which may still be settled).
CREATE VIEW payments AS
SELECT
    c.workspace AS workspace, c.subject AS payment_id,
    anyIf(JSONExtractString(c.body, 'purpose'), c.change = 'payment_requested') AS purpose,
    anyIf(JSONExtractString(c.body, 'subject'), c.change = 'payment_requested') AS pays_for,
    anyIf(JSONExtractInt(c.body, 'amount_micros'), c.change = 'payment_requested') AS amount_micros,
    CAST(amount_micros, 'Decimal(38, 6)') / 1000000 AS amount_usd,
    minIf(c.from, c.change = 'payment_requested') AS due,
    minIf(c.time, c.change = 'payment_requested') AS requested,
    multiIf(
        countIf(c.change = 'payment_settled') > 0, 'settled', countIf(c.change = 'payment_failed') > 0, 'failed', 'open'
    ) AS status,
    argMaxIf(JSONExtractString(c.body, 'reason'), c.sequence, c.change = 'payment_failed') AS reason,
    max(c.time) AS changed
FROM ledger_changes AS c
WHERE c.change IN ('payment_requested', 'payment_settled', 'payment_failed')
GROUP BY workspace, payment_id;

-- P4, P3, P11: per term how many units were included, charged past them, or lie beyond what is sold; `app` is empty for a
-- contract's term.
CREATE VIEW included_units AS
SELECT
    c.workspace AS workspace,
    substring(c.pool, 1, length(c.pool) - position(reverse(c.pool), '@')) AS app,
    fromUnixTimestamp64Micro(toInt64OrZero(substring(c.pool, length(c.pool) - position(reverse(c.pool), '@') + 2)), 'UTC') AS term,
    argMax(c.plan, c.sequence) AS plan,
    sumIf(toInt64(c.sign), c.covered = 'included') AS included,
    sumIf(toInt64(c.sign), c.covered = '') AS charged,
    sumIf(toInt64(c.sign), c.covered = 'beyond') AS beyond,
    sum(c.sign * c.price_micros) AS charged_micros,
    any(c.pool) AS pool
FROM ledger_charges AS c
WHERE c.pool != ''
GROUP BY workspace, app, term;

-- A3: whom each alert is for, one row per recipient.
CREATE VIEW alert_recipients AS
SELECT
    a.alert_id AS alert_id, a.workspace AS workspace, a.kind AS kind, a.time AS time, a.app AS app,
    recipient.role AS role, recipient.user AS user, recipient.email AS email
FROM alerts AS a
ARRAY JOIN a.recipients AS recipient;

-- L6: what the reconciliations found, newest last; written by whoever ran one, not from the log.
CREATE TABLE reconciliations
(
    finished    DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    seconds     Float64,
    units       UInt64,
    differences Map(LowCardinality(String), UInt64)
)
ENGINE = MergeTree
ORDER BY finished
TTL toDateTime(finished) + INTERVAL 2 YEAR;
