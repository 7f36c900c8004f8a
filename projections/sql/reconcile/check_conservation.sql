-- L1, C3, C6: a grant opens with its amount and never goes below zero; what has expired for good is gone; nothing is owed
-- beside paid credit that could pay it.
WITH
    held AS
    (
        SELECT
            workspace, account, sum(amount_micros) AS left_micros, min(balance_micros) AS lowest_micros,
            max(balance_micros) AS highest_micros, argMin(amount_micros, (sequence, line_index)) AS first_micros
        FROM ledger_lines
        WHERE (startsWith(account, 'grant:') OR startsWith(account, 'due:'))
            AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        GROUP BY workspace, account
    ),
    given AS
    (
        SELECT workspace, concat('grant:', grant_id) AS account, kafka_partition, credit, app, amount_micros, expires
        FROM grants
        WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
    )
SELECT measure.1 AS check, workspace, account AS key, '' AS day, measure.2 AS expected, measure.3 AS found
FROM
(
    SELECT
        held.workspace AS workspace, held.account AS account, left_micros, lowest_micros, first_micros, amount_micros,
        expires IS NOT NULL AND toUnixTimestamp64Micro(assumeNotNull(expires)) <= clock.complete_us AS is_over
    FROM held
    INNER JOIN given ON given.workspace = held.workspace AND given.account = held.account
    LEFT JOIN
    (
        -- ACCOUNTS' clock on a partition of its inbox: what every partition of `interactions` has reached.
        SELECT kafka_partition, if(count() >= max(partitions), min(complete_us), 0) AS complete_us
        FROM
        (
            SELECT
                kafka_partition, origin_partition, max(source_partitions) AS partitions,
                max(toUnixTimestamp64Micro(complete)) AS complete_us
            FROM watermarks
            GROUP BY kafka_partition, origin_partition
        )
        GROUP BY kafka_partition
    ) AS clock ON clock.kafka_partition = given.kafka_partition
)
ARRAY JOIN
    [
        ('grant opens with its amount', amount_micros, first_micros),
        ('grant below zero', 0, least(lowest_micros, 0)),
        ('expired credit lapses', 0, if(is_over, left_micros, 0))
    ] AS measure
WHERE measure.2 != measure.3
UNION ALL
SELECT 'owed beside credit', owing.workspace, owing.account, '', 0, -owing.left_micros
FROM held AS owing
WHERE startsWith(owing.account, 'due:') AND owing.left_micros < 0 AND (owing.workspace, substring(owing.account, 5)) IN
(
    SELECT o.workspace, substring(o.account, 5)
    FROM held AS o
    INNER JOIN given AS g ON g.workspace = o.workspace
    INNER JOIN held AS h ON h.workspace = g.workspace AND h.account = g.account
    WHERE startsWith(o.account, 'due:') AND o.left_micros < 0 AND g.credit = 'paid' AND h.left_micros > 0
        AND (g.app = '' OR g.app = substring(o.account, 5))
)
