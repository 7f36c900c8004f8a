-- How the questions of the Plan & Usage page and of analysts are answered.

-- The newest ledger record of a workspace, and its first, without reading the others: kept per part of the table, so
-- that it can never differ from it, and merged when read. `balances` and `accounts` are answered from it too.
-- A row that is deleted (by hand) goes out of it too.
ALTER TABLE ledger_entries MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild';
ALTER TABLE ledger_entries ADD PROJECTION IF NOT EXISTS newest
(
    SELECT
        workspace, max(sequence), min(time), max(time), argMin(time, sequence), argMax(time, sequence),
        argMax(free_micros, sequence), argMax(paid_shared_micros, sequence), argMax(paid_apps_micros, sequence),
        argMax(due_micros, sequence)
    GROUP BY workspace
);
ALTER TABLE ledger_entries MATERIALIZE PROJECTION newest;

-- The questions of T1 to T5 as views with parameters. A range that breaks a rule (T7) is an error that names it; nothing is
-- cut silently. The check stands in a subquery, because that runs whether or not there are rows. `first` and `last` are days, both included, as the calendar of `zone` has them.

-- T2: by day, at most 90 days. Billed units by the day of their start, and from which credit they were paid (T1).
CREATE VIEW trend_daily AS
SELECT
    toDate(toDateTime(b.quarter * 900, {zone:String})) AS day,
    b.app AS app, b.channel AS channel, b.unit_kind AS kind,
    if(startsWith(b.account, 'due'), 'due', g.credit) AS paid_from,
    sum(b.units) AS units, sum(b.micros) AS micros, CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_quarters AS b
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS credit
    FROM grants WHERE workspace = {workspace:String} GROUP BY account
) AS g ON g.account = b.account
WHERE (SELECT throwIf({first:Date} > {last:Date}, 'first: after the last day (T2)')) = 0
    AND (SELECT throwIf({last:Date} - {first:Date} >= 90, 'last: a trend by day is of at most 90 days (T2)')) = 0
    AND b.workspace = {workspace:String}
    AND b.quarter >= intDiv(toUnixTimestamp(toDateTime({first:Date}, {zone:String})), 900)
    AND b.quarter < intDiv(toUnixTimestamp(toDateTime({last:Date} + 1, {zone:String})), 900)
GROUP BY day, app, channel, kind, paid_from;

-- T4: by week (from Monday), at most 365 days.
CREATE VIEW trend_weekly AS
SELECT
    toMonday(toDate(toDateTime(b.quarter * 900, {zone:String}))) AS week,
    b.app AS app, b.channel AS channel, b.unit_kind AS kind,
    if(startsWith(b.account, 'due'), 'due', g.credit) AS paid_from,
    sum(b.units) AS units, sum(b.micros) AS micros, CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_quarters AS b
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS credit
    FROM grants WHERE workspace = {workspace:String} GROUP BY account
) AS g ON g.account = b.account
WHERE (SELECT throwIf({first:Date} > {last:Date}, 'first: after the last day (T4)')) = 0
    AND (SELECT throwIf({last:Date} - {first:Date} >= 365, 'last: a trend by week is of at most 365 days (T4)')) = 0
    AND b.workspace = {workspace:String}
    AND b.quarter >= intDiv(toUnixTimestamp(toDateTime({first:Date}, {zone:String})), 900)
    AND b.quarter < intDiv(toUnixTimestamp(toDateTime({last:Date} + 1, {zone:String})), 900)
GROUP BY week, app, channel, kind, paid_from;

-- T3: by month, at most 365 days.
CREATE VIEW trend_monthly AS
SELECT
    toStartOfMonth(toDate(toDateTime(b.quarter * 900, {zone:String}))) AS month,
    b.app AS app, b.channel AS channel, b.unit_kind AS kind,
    if(startsWith(b.account, 'due'), 'due', g.credit) AS paid_from,
    sum(b.units) AS units, sum(b.micros) AS micros, CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_quarters AS b
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS credit
    FROM grants WHERE workspace = {workspace:String} GROUP BY account
) AS g ON g.account = b.account
WHERE (SELECT throwIf({first:Date} > {last:Date}, 'first: after the last day (T3)')) = 0
    AND (SELECT throwIf({last:Date} - {first:Date} >= 365, 'last: a trend by month is of at most 365 days (T3)')) = 0
    AND b.workspace = {workspace:String}
    AND b.quarter >= intDiv(toUnixTimestamp(toDateTime({first:Date}, {zone:String})), 900)
    AND b.quarter < intDiv(toUnixTimestamp(toDateTime({last:Date} + 1, {zone:String})), 900)
GROUP BY month, app, channel, kind, paid_from;

-- T3: the 1, 2 or 3 whole months before this one, by month.
CREATE VIEW trend_last_months AS
SELECT
    toStartOfMonth(toDate(toDateTime(b.quarter * 900, {zone:String}))) AS month,
    b.app AS app, b.channel AS channel, b.unit_kind AS kind,
    if(startsWith(b.account, 'due'), 'due', g.credit) AS paid_from,
    sum(b.units) AS units, sum(b.micros) AS micros, CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM billed_quarters AS b
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS credit
    FROM grants WHERE workspace = {workspace:String} GROUP BY account
) AS g ON g.account = b.account
WHERE (SELECT throwIf({months:UInt8} NOT IN (1, 2, 3), 'months: 1, 2 or 3; for more give a first and a last day (T3)')) = 0
    AND b.workspace = {workspace:String}
    AND b.quarter >= intDiv(toUnixTimestamp(toDateTime(
        addMonths(toStartOfMonth(toDate(now(), {zone:String})), -toInt16({months:UInt8})), {zone:String})), 900)
    AND b.quarter < intDiv(toUnixTimestamp(toDateTime(toStartOfMonth(toDate(now(), {zone:String})), {zone:String})), 900)
GROUP BY month, app, channel, kind, paid_from;

-- T5: a workspace's credits now, one row per grant and one (`credit` = 'due') per app that owes.
CREATE VIEW account_credits AS
SELECT
    if(startsWith(f.account, 'due:'), 'due', g.credit) AS credit,
    if(startsWith(f.account, 'due:'), substring(f.account, 5), g.app) AS app,
    g.grant_id AS grant_id, g.granted AS granted, g.expires AS expires,
    sumIf(f.micros, f.what = 'issued') AS given_micros,
    -sumIf(f.micros, f.what IN ('charged', 'returned', 'settled')) AS used_micros,
    -sumIf(f.micros, f.what = 'lapsed') AS lapsed_micros,
    sumIf(f.micros, f.what NOT IN ('issued', 'charged', 'returned', 'settled', 'lapsed')) AS moved_micros,
    sum(f.micros) AS remaining_micros,
    CAST(remaining_micros, 'Decimal(38, 6)') / 1000000 AS remaining_usd
FROM account_flows AS f
LEFT JOIN
(
    SELECT
        concat('grant:', grants.grant_id) AS account, grants.grant_id AS grant_id, any(grants.credit) AS credit,
        any(grants.app) AS app, any(grants.granted) AS granted, any(grants.expires) AS expires
    FROM grants WHERE workspace = {workspace:String} GROUP BY grant_id
) AS g ON g.account = f.account
WHERE (SELECT throwIf({workspace:String} = '', 'workspace: which one (T5)')) = 0 AND f.workspace = {workspace:String}
GROUP BY credit, app, grant_id, granted, expires;

-- A period of at most 365 days (T3): every line of the ledger that took effect in it, with its record's hash.
CREATE VIEW ledger_of_period AS
SELECT
    l.sequence AS sequence, l.line_index AS line, l.time AS time, l.kind AS kind, l.account AS account,
    l.amount_micros AS amount_micros, CAST(l.amount_micros, 'Decimal(38, 6)') / 1000000 AS amount_usd,
    l.balance_micros AS balance_micros, l.app AS app, l.channel AS channel, l.unit_id AS unit_id,
    l.unit_kind AS unit_kind, e.cause AS cause, e.hash AS hash
FROM ledger_lines AS l
INNER JOIN (SELECT sequence, cause, hash FROM ledger_entries WHERE workspace = {workspace:String}) AS e ON e.sequence = l.sequence
WHERE (SELECT throwIf({first:Date} > {last:Date}, 'first: after the last day (T7)')) = 0
    AND (SELECT throwIf({last:Date} - {first:Date} >= 365, 'last: a period is of at most 365 days (T3)')) = 0
    AND l.workspace = {workspace:String}
    AND l.time >= toDateTime64({first:Date}, 6, {zone:String}) AND l.time < toDateTime64({last:Date} + 1, 6, {zone:String})
ORDER BY sequence, line;

-- A period of at most 365 days (T3): what was charged, by app, unit, plan and price, net of what was taken back (C8).
CREATE VIEW charges_of_period AS
SELECT
    c.app AS app, c.unit_kind AS kind, c.plan AS plan, c.price_micros AS price_micros,
    countIf(c.sign > 0) AS charged_units, countIf(c.sign < 0) AS reversed_units, sum(c.sign * c.price_micros) AS micros,
    CAST(micros, 'Decimal(38, 6)') / 1000000 AS usd
FROM ledger_charges AS c
WHERE (SELECT throwIf({first:Date} > {last:Date}, 'first: after the last day (T7)')) = 0
    AND (SELECT throwIf({last:Date} - {first:Date} >= 365, 'last: a period is of at most 365 days (T3)')) = 0
    AND c.workspace = {workspace:String}
    AND c.start >= toDateTime64({first:Date}, 6, {zone:String}) AND c.start < toDateTime64({last:Date} + 1, 6, {zone:String})
GROUP BY app, kind, plan, price_micros;
