-- C1, C2, C4, C10: the grants that accepted commands and first units lead to, against those of the ledger, with amount,
-- credit, app, beginning and expiry. What a payment that was asked for is about is taken from the ledger.
WITH
    text -> if(lengthUTF8(text) <= 64, text, concat('sha256:', substring(lower(hex(SHA256(text))), 1, 32))) AS short,
    granted_us -> greatest(granted_us, {policy_us:Int64}) + {free_us:Int64} AS expiry_us
SELECT
    if(is_there, 'terms of a grant', 'grants') AS check, workspace,
    if(is_there, concat(grant_id, ': ', toString(wanted), ', not ', toString(given)), grant_id) AS key, '' AS day,
    if(is_there, 1, wanted_micros) AS expected, if(is_there, 0, given_micros) AS found
FROM
(
    SELECT
        workspace, grant_id, sum(side) AS expected_rows, count() - expected_rows AS found_rows,
        sumIf(amount_micros, side = 1) AS wanted_micros, sumIf(amount_micros, side = 0) AS given_micros,
        expected_rows = found_rows AND wanted_micros = given_micros AS is_there,
        anyIf((credit, app, granted_us, expires_us, moved), side = 1) AS wanted,
        anyIf((credit, app, granted_us, expires_us, moved), side = 0) AS given
    FROM
    (
        SELECT
            workspace, 1 AS side,
            concat(workspace, multiIf(
                kind = 'create_workspace', '/welcome',
                kind = 'grant_credit', concat('/grant/', short(command_id)),
                kind = 'move_credit', concat('/move/', short(command_id)),
                concat('/payment/', short(JSONExtractString(body, 'payment_id')))
            )) AS grant_id,
            if(kind IN ('create_workspace', 'grant_credit'), 'free', 'paid') AS credit,
            multiIf(
                kind = 'move_credit', JSONExtractString(body, 'to_app'),
                kind = 'settle_payment', asked.app,
                JSONExtractString(body, 'app')
            ) AS app,
            toInt64(multiIf(
                kind = 'create_workspace', {free_micros:Int64},
                kind = 'settle_payment', asked.amount_micros,
                assumeNotNull(accepted.amount_micros)
            )) AS amount_micros,
            time_us AS granted_us,
            if(credit = 'free', expiry_us(time_us), toInt64(-1)) AS expires_us,
            kind = 'move_credit' AS moved
        FROM accepted
        LEFT JOIN
        (
            SELECT
                workspace, subject AS payment_id, any(JSONExtractString(body, 'purpose')) AS purpose,
                any(JSONExtractInt(body, 'amount_micros')) AS amount_micros,
                any(extract(JSONExtractString(body, 'subject'), '^credit/(.*)$')) AS app
            FROM ledger_changes
            WHERE change = 'payment_requested'
            GROUP BY workspace, payment_id
        ) AS asked ON asked.workspace = accepted.workspace AND asked.payment_id = JSONExtractString(accepted.body, 'payment_id')
        WHERE (kind = 'create_workspace' AND {free_micros:Int64} > 0) OR kind IN ('add_funds', 'grant_credit', 'move_credit')
            OR (kind = 'settle_payment' AND purpose IN ('auto_top_up', 'top_up'))
        UNION ALL
        -- W1: a workspace that nobody created is, at the start of its first unit.
        SELECT
            workspace, 1, concat(workspace, '/welcome'), 'free', '', {free_micros:Int64},
            argMin(toUnixTimestamp64Micro(start), kafka_offset) AS granted_us, expiry_us(granted_us), false
        FROM unit_events
        WHERE workspace NOT IN (SELECT workspace FROM accepted WHERE kind = 'create_workspace') AND {free_micros:Int64} > 0
        GROUP BY workspace
        UNION ALL
        SELECT
            workspace, 0, grant_id, credit, app, amount_micros, toUnixTimestamp64Micro(granted),
            ifNull(toUnixTimestamp64Micro(expires), -1), moved
        FROM grants
    )
    GROUP BY workspace, grant_id
)
WHERE NOT is_there OR wanted != given
