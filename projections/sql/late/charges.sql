-- The charges that stand of some units, each as it was posted last, with what each grant paid of it (C5, C8).
SELECT
    c.unit_id AS unit_id, c.posted.1 AS start_us, c.posted.2 AS price_micros, c.posted.3 AS plan, c.posted.4 AS covered,
    c.posted.5 AS pool, p.parts AS parts
FROM
(
    SELECT
        unit_id,
        argMaxIf(
            (toUnixTimestamp64Micro(start), price_micros, plan, covered, pool, sequence), (sequence, charge_index), sign = 1
        ) AS posted,
        posted.6 AS posted_in
    FROM ledger_charges
    WHERE workspace = {workspace:String} AND unit_id IN {unit_ids:Array(String)}
    GROUP BY unit_id
    HAVING sum(toInt64(sign)) > 0
) AS c
LEFT JOIN
(
    SELECT
        l.unit_id AS unit_id, l.sequence AS sequence,
        groupArray((
            g.grant_id, g.credit, g.amount_micros, toUnixTimestamp64Micro(g.granted), -l.amount_micros,
            if(g.expires IS NULL, NULL, toUnixTimestamp64Micro(assumeNotNull(g.expires))), g.app
        )) AS parts
    FROM ledger_parts AS l
    INNER JOIN grants AS g ON g.workspace = l.workspace AND concat('grant:', g.grant_id) = l.account
    WHERE l.workspace = {workspace:String} AND l.unit_id IN {unit_ids:Array(String)} AND l.what = 'charged'
        AND l.amount_micros < 0 AND g.workspace = {workspace:String}
    GROUP BY unit_id, sequence
) AS p ON p.unit_id = c.unit_id AND p.sequence = c.posted_in
