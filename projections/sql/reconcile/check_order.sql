-- C4, C5: who pays for a unit. Credit of one app pays for that app only; and nothing pays while something is left that goes
-- before it: free before paid; free: soonest expiry first; paid: the app's own before shared; then the oldest, then by id.
WITH
    given AS
    (
        SELECT
            workspace, concat('grant:', grant_id) AS account, app AS of_app,
            ifNull(toUnixTimestamp64Micro(expires), toInt64(9223372036854775807)) AS expires_us,
            (
                credit != 'free', credit != 'free' AND app = '', if(credit = 'free', expires_us, 0),
                toUnixTimestamp64Micro(granted), account
            ) AS turn
        FROM grants
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    ),
    -- From which record to which a grant had something left.
    left_over AS
    (
        SELECT workspace, account, sequence AS from_sequence, until_sequence
        FROM
        (
            SELECT
                workspace, account, sequence, is_left,
                leadInFrame(sequence, 1, toUInt64(-1)) OVER (
                    PARTITION BY workspace, account ORDER BY sequence ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
                ) AS until_sequence
            FROM
            (
                SELECT
                    workspace, account, sequence, argMax(balance_micros, line_index) > 0 AS is_left,
                    lagInFrame(is_left, 1, toUInt8(0)) OVER (
                        PARTITION BY workspace, account ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                    ) AS was_left
                FROM ledger_lines
                WHERE startsWith(account, 'grant:') AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
                GROUP BY workspace, account, sequence
            )
            WHERE is_left != was_left
        )
        WHERE is_left
    ),
    paid AS
    (
        SELECT
            p.workspace AS workspace, p.sequence AS sequence, p.account AS account, p.app AS app, p.channel AS channel,
            p.unit_id AS unit_id, p.start AS start, p.amount_micros AS amount_micros, g.of_app AS of_app, g.turn AS turn
        FROM ledger_parts AS p
        INNER JOIN given AS g ON g.workspace = p.workspace AND g.account = p.account
        WHERE p.what = 'charged' AND p.amount_micros < 0
            AND p.workspace >= {low:String} AND (p.workspace < {high:String} OR {high:String} = '')
    )
SELECT
    wrong.1 AS check, workspace, concat(unit_id, ' by ', account, wrong.2, ' at ', toString(sequence)) AS key,
    toString(toDate(start, 'UTC')) AS day, toInt64(0) AS expected, -amount_micros AS found, (app, channel, '', unit_id) AS place
FROM
(
    SELECT *, ('credit of another app', concat(', which is of ', of_app)) AS wrong
    FROM paid
    WHERE of_app NOT IN ('', app)
    UNION ALL
    SELECT paid.*, ('order of use', concat(' before ', min(tuple(before.turn, before.account)).2)) AS wrong
    FROM paid
    INNER JOIN
    (
        SELECT
            l.workspace AS workspace, l.account AS account, l.from_sequence AS from_sequence, l.until_sequence AS until_sequence,
            g.of_app AS of_app, g.expires_us AS expires_us, g.turn AS turn
        FROM left_over AS l
        INNER JOIN given AS g ON g.workspace = l.workspace AND g.account = l.account
    ) AS before ON before.workspace = paid.workspace
    WHERE before.turn < paid.turn AND before.of_app IN ('', paid.app) AND before.expires_us > toUnixTimestamp64Micro(paid.start)
        AND paid.sequence >= before.from_sequence AND paid.sequence < before.until_sequence
    GROUP BY ALL
)
