-- P4, P3, P11: in the order of posting, a unit of a term takes one of the included places as long as there is one.
SELECT
    'included units' AS check, workspace, concat(unit_id, ' in ', pool, ' at ', toString(sequence)) AS key, toString(toDate(start, 'UTC')) AS day,
    toInt64(taken < allowed) AS expected, toInt64(covered = 'included') AS found, (app, channel, '', unit_id) AS place
FROM
(
    SELECT
        workspace, pool, unit_id, app, channel, start, sequence, charge_index, sign, covered,
        sum(if(covered = 'included', toInt64(sign), 0)) OVER (
            PARTITION BY workspace, pool ORDER BY sequence, charge_index ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - if(covered = 'included', toInt64(sign), 0) AS taken
    FROM ledger_charges
    WHERE pool != '' AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
) AS posted
INNER JOIN (SELECT DISTINCT workspace, pool, allowed FROM priced WHERE pool != '') AS terms
    ON terms.workspace = posted.workspace AND terms.pool = posted.pool
WHERE sign = 1 AND expected != found
