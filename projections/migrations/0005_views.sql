-- What analysts read. Money has an Int64 column of micro-dollars and a Decimal one in US dollars.

-- One row per unit by its newest revision; a retracted unit never was (U5).
CREATE VIEW units AS
SELECT
    e.unit_id AS unit_id,
    argMax(e.kind, e.revision) AS kind,
    argMax(e.workspace, e.revision) AS workspace,
    argMax(e.app, e.revision) AS app,
    argMax(e.channel, e.revision) AS channel,
    argMax(e.user, e.revision) AS user,
    argMax(e.environment, e.revision) AS environment,
    argMax(e.start, e.revision) AS start,
    argMax(e.billable, e.revision) AS billable,
    argMax(e.conversation_id, e.revision) AS conversation_id,
    argMax(e.change, e.revision) AS change,
    change = 'closed' AS closed,
    -- In a tuple, because argMax passes over NULL.
    argMax((e.last,), e.revision).1 AS last,
    argMax((e.inbound,), e.revision).1 AS inbound,
    argMax((e.outbound,), e.revision).1 AS outbound,
    max(e.revision) AS revision
FROM unit_events AS e
GROUP BY unit_id
HAVING change != 'retracted';

CREATE VIEW conversations AS
SELECT unit_id, workspace, app, channel, user, environment, start, last, billable, closed, inbound, outbound, revision
FROM units
WHERE kind = 'conversation';

CREATE VIEW sessions AS
SELECT
    unit_id, conversation_id, workspace, app, channel, user, environment, start, last, billable, closed,
    inbound, outbound, revision
FROM units
WHERE kind = 'session';

-- Per workspace, after its newest ledger record.
CREATE VIEW balances AS
SELECT
    e.workspace AS workspace,
    max(e.sequence) AS sequence,
    argMax(e.time, e.sequence) AS time,
    argMax(e.free_micros, e.sequence) AS free_micros,
    argMax(e.paid_shared_micros, e.sequence) AS paid_shared_micros,
    argMax(e.paid_apps_micros, e.sequence) AS paid_apps_micros,
    argMax(e.due_micros, e.sequence) AS due_micros,
    CAST(free_micros + paid_shared_micros + paid_apps_micros, 'Decimal(38, 6)') / 1000000 AS credit_usd,
    CAST(due_micros, 'Decimal(38, 6)') / 1000000 AS due_usd
FROM ledger_entries AS e
GROUP BY workspace;

-- Per grant: what was given, and what remains of it (L1: the sum of its lines).
CREATE VIEW grant_balances AS
SELECT
    g.workspace AS workspace,
    g.grant_id AS grant_id,
    g.credit AS credit,
    g.app AS app,
    g.granted AS granted,
    g.expires AS expires,
    g.amount_micros AS amount_micros,
    l.remaining_micros AS remaining_micros,
    CAST(g.amount_micros, 'Decimal(38, 6)') / 1000000 AS amount_usd,
    CAST(l.remaining_micros, 'Decimal(38, 6)') / 1000000 AS remaining_usd
FROM grants AS g
LEFT JOIN
(
    SELECT workspace, substring(account, 7) AS grant_id, sum(amount_micros) AS remaining_micros
    FROM ledger_lines
    WHERE startsWith(account, 'grant:')
    GROUP BY workspace, grant_id
) AS l ON l.workspace = g.workspace AND l.grant_id = g.grant_id;

-- Per charged unit: the net of its charges and reversals (C8).
CREATE VIEW charges AS
SELECT
    c.workspace AS workspace,
    c.unit_id AS unit_id,
    any(c.unit_kind) AS kind,
    any(c.app) AS app,
    any(c.channel) AS channel,
    argMax(c.start, c.sequence) AS start,
    argMax(c.plan, c.sequence) AS plan,
    sum(toInt64(c.sign)) AS times,
    sum(c.sign * c.price_micros) AS charged_micros,
    CAST(charged_micros, 'Decimal(38, 6)') / 1000000 AS charged_usd,
    max(c.sequence) AS sequence
FROM ledger_charges AS c
GROUP BY workspace, unit_id;

-- Law 7: what became of every record METER has taken, by outcome.
CREATE VIEW outcomes AS
SELECT outcome, sum(counted) AS records
FROM
(
    SELECT origin_partition, argMax(watermarks.outcomes, (origin_offset, origin_index)) AS newest
    FROM watermarks
    GROUP BY origin_partition
)
ARRAY JOIN mapKeys(newest) AS outcome, mapValues(newest) AS counted
GROUP BY outcome;
