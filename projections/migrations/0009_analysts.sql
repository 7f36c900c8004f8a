-- Views for analysts. Money in Int64 micro-dollars and Decimal US dollars; none of them needs FINAL.

CREATE VIEW usage_monthly AS
SELECT
    d.workspace AS workspace, toStartOfMonth(d.day) AS month, d.app AS app, d.channel AS channel,
    d.environment AS environment, d.kind AS kind, sum(d.units) AS units, sum(d.billable_units) AS billable_units
FROM usage_daily AS d
GROUP BY workspace, month, app, channel, environment, kind;

-- T1: billed units by the UTC day of their start, and from which credit they were paid when they were charged.
CREATE VIEW billed_daily AS
SELECT
    b.workspace AS workspace,
    toDate(toDateTime64(b.quarter * 900, 0, 'UTC'), 'UTC') AS day,
    b.app AS app,
    b.channel AS channel,
    b.unit_kind AS kind,
    if(startsWith(b.account, 'due'), 'due', g.credit) AS paid_from,
    sum(b.units) AS units,
    sum(b.micros) AS micros,
    CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_quarters AS b
LEFT JOIN (SELECT workspace, concat('grant:', grant_id) AS account, any(credit) AS credit FROM grants GROUP BY ALL) AS g
    ON g.workspace = b.workspace AND g.account = b.account
GROUP BY workspace, day, app, channel, kind, paid_from;

CREATE VIEW billed_monthly AS
SELECT
    d.workspace AS workspace, toStartOfMonth(d.day) AS month, d.app AS app, d.channel AS channel, d.kind AS kind,
    d.paid_from AS paid_from, sum(d.units) AS units, sum(d.micros) AS micros,
    CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_daily AS d
GROUP BY workspace, month, app, channel, kind, paid_from;

-- Per grant: given, used (net of what came back), lapsed, moved elsewhere or from there, and what remains.
CREATE VIEW grant_statistics AS
SELECT
    g.workspace AS workspace, g.grant_id AS grant_id, g.credit AS credit, g.app AS app, g.granted AS granted,
    g.expires AS expires, f.given_micros AS given_micros, f.used_micros AS used_micros,
    f.lapsed_micros AS lapsed_micros, f.moved_micros AS moved_micros, f.remaining_micros AS remaining_micros,
    CAST(f.given_micros, 'Decimal(38, 6)') / 1000000 AS given_usd,
    CAST(f.used_micros, 'Decimal(38, 6)') / 1000000 AS used_usd,
    CAST(f.lapsed_micros, 'Decimal(38, 6)') / 1000000 AS lapsed_usd,
    CAST(f.remaining_micros, 'Decimal(38, 6)') / 1000000 AS remaining_usd
FROM (SELECT DISTINCT workspace, grant_id, credit, app, granted, expires FROM grants) AS g
LEFT JOIN
(
    SELECT
        workspace,
        account,
        sumIf(micros, what = 'issued') AS given_micros,
        -sumIf(micros, what IN ('charged', 'returned', 'settled')) AS used_micros,
        -sumIf(micros, what = 'lapsed') AS lapsed_micros,
        sumIf(micros, what NOT IN ('issued', 'charged', 'returned', 'settled', 'lapsed')) AS moved_micros,
        sum(micros) AS remaining_micros
    FROM account_flows
    GROUP BY workspace, account
) AS f ON f.workspace = g.workspace AND f.account = concat('grant:', g.grant_id);

-- Balances by UTC day of the postings' instants, after all of the day; a day without a posting has no row.
CREATE VIEW balances_daily AS
SELECT
    workspace,
    day,
    sum(free_change) OVER running AS free_micros,
    sum(paid_change) OVER running AS paid_micros,
    sum(due_change) OVER running AS due_micros,
    CAST(free_micros + paid_micros, 'Decimal(38, 6)') / 1000000 AS credit_usd,
    CAST(due_micros, 'Decimal(38, 6)') / 1000000 AS due_usd
FROM
(
    SELECT
        p.workspace AS workspace,
        toDate(p.time, 'UTC') AS day,
        sumIf(p.amount_micros, g.credit = 'free') AS free_change,
        sumIf(p.amount_micros, g.credit = 'paid') AS paid_change,
        -sumIf(p.amount_micros, startsWith(p.account, 'due')) AS due_change
    FROM ledger_parts AS p
    LEFT JOIN (SELECT workspace, concat('grant:', grant_id) AS account, any(credit) AS credit FROM grants GROUP BY ALL) AS g
        ON g.workspace = p.workspace AND g.account = p.account
    GROUP BY workspace, day
)
WINDOW running AS (PARTITION BY workspace ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);

-- U14: every session with the conversation it belongs to, and its number in it.
CREATE VIEW conversation_sessions AS
SELECT
    s.conversation_id AS conversation_id,
    s.unit_id AS session_id,
    row_number() OVER (PARTITION BY s.workspace, s.conversation_id ORDER BY s.start, s.unit_id) AS number,
    s.workspace AS workspace, s.app AS app, s.channel AS channel, s.user AS user, s.environment AS environment,
    s.start AS start, s.billable AS billable, s.closed AS closed
FROM sessions AS s;

-- Per workspace: when its ledger began, its balances now, and its newest posting.
CREATE VIEW accounts AS
SELECT
    b.workspace AS workspace, b.created AS created, b.sequence AS ledger_records, b.newest AS newest,
    b.free_micros AS free_micros, b.paid_shared_micros AS paid_shared_micros, b.paid_apps_micros AS paid_apps_micros,
    b.due_micros AS due_micros,
    CAST(b.free_micros + b.paid_shared_micros + b.paid_apps_micros, 'Decimal(38, 6)') / 1000000 AS credit_usd,
    CAST(b.due_micros, 'Decimal(38, 6)') / 1000000 AS due_usd
FROM
(
    SELECT
        e.workspace AS workspace,
        min(e.time) AS created,
        max(e.time) AS newest,
        max(e.sequence) AS sequence,
        argMax(e.free_micros, e.sequence) AS free_micros,
        argMax(e.paid_shared_micros, e.sequence) AS paid_shared_micros,
        argMax(e.paid_apps_micros, e.sequence) AS paid_apps_micros,
        argMax(e.due_micros, e.sequence) AS due_micros
    FROM ledger_entries AS e
    GROUP BY workspace
) AS b;

-- Per app: net live units by kind, billed units and what they cost, first and last UTC day of use.
CREATE VIEW apps AS
SELECT
    workspace, app, sum(conversation) AS conversations, sum(session) AS sessions, sum(notification) AS notifications,
    sum(billed) AS billed_units, sum(cost) AS charged_micros, min(first) AS first_day, max(last) AS last_day,
    CAST(charged_micros, 'Decimal(38, 6)') / 1000000 AS charged_usd
FROM
(
    SELECT
        workspace, app,
        sumIf(units, kind = 'conversation') AS conversation, sumIf(units, kind = 'session') AS session,
        sumIf(units, kind IN ('notification', 'alert')) AS notification, toInt64(0) AS billed, toInt64(0) AS cost,
        min(day) AS first, max(day) AS last
    FROM usage_daily
    WHERE environment = 'live'
    GROUP BY workspace, app
    UNION ALL
    SELECT
        workspace, app, toInt64(0), toInt64(0), toInt64(0), sum(units), sum(micros),
        toDate(toDateTime64(min(quarter) * 900, 0, 'UTC'), 'UTC'), toDate(toDateTime64(max(quarter) * 900, 0, 'UTC'), 'UTC')
    FROM billed_quarters
    GROUP BY workspace, app
)
GROUP BY workspace, app;

-- "Explain" (L7) looks for one id: a filter per 8192 x 4 rows passes over what cannot hold it.
ALTER TABLE unit_events ADD INDEX IF NOT EXISTS unit_id_filter unit_id TYPE bloom_filter(0.001) GRANULARITY 4;
ALTER TABLE interactions ADD INDEX IF NOT EXISTS id_filter id TYPE bloom_filter(0.001) GRANULARITY 4;
