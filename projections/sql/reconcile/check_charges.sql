-- L6: what each recounted unit costs, against the net of the ledger's charges for it: whether it is charged, once; how much;
-- under which plan, covered by what. A unit gets the id METER, or who admitted late events, gave to the unit of its key,
-- kind and start.
WITH
    -- METER's units by their newest revision, with what admitted late events did to them since (U6).
    live_units AS
    (
        SELECT unit_id, argMax(known, (admitted, number)) AS unit
        FROM
        (
            SELECT
                unit_id, (workspace, app, channel, user, kind, toUnixTimestamp64Micro(start)) AS known, 0 AS admitted,
                revision AS number, toInt64(delta) AS more, toInt64(billable_delta) AS more_billable
            FROM unit_events
            WHERE environment = 'live' AND workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
            UNION ALL
            SELECT unit_id, (workspace, app, channel, user, kind, start_us), 1, sequence, delta, billable_delta
            FROM admitted_units
            WHERE workspace >= {low:String} AND (workspace < {high:String} OR {high:String} = '')
        )
        GROUP BY unit_id
        HAVING sum(more) > 0 AND sum(more_billable) > 0
    ),
    matched AS
    (
        SELECT
            unit, anyIf(cost, side = 0) AS cost, countIf(side = 0) AS times,
            arrayResize(arraySort(groupArrayIf(unit_id, side = 1)), times) AS ids
        FROM
        (
            SELECT
                (workspace, app, channel, user, kind, start_us) AS unit, '' AS unit_id, 0 AS side,
                (plan, pool, past_micros, published) AS cost
            FROM priced
            UNION ALL
            SELECT unit, unit_id, 1, ('', '', toInt64(0), false)
            FROM live_units
        )
        GROUP BY unit
        HAVING times > 0
    )
SELECT
    measure.1 AS check, workspace,
    concat(
        app, '/', channel, '/', if(user = '', '?', user), ' ', kind, ' ', formatDateTime(start, '%Y-%m-%dT%H:%i:%SZ', 'UTC'),
        if(unit_id = '', '', concat(' (', unit_id, ')')), measure.4
    ) AS key,
    toString(toDate(start, 'UTC')) AS day,
    measure.2 AS expected, measure.3 AS found,
    (app, channel, user, unit_id) AS place
FROM
(
    SELECT
        workspace,
        identity.2 AS unit_id,
        if(sum(expected_times) > 0, anyIf(one, expected_times > 0), anyIf(one, expected_times = 0)) AS unit,
        unit.1 AS app, unit.2 AS channel, unit.3 AS user, unit.4 AS kind, fromUnixTimestamp64Micro(unit.5, 'UTC') AS start,
        sum(expected_times) AS expected_charges, sum(found_times) AS found_charges,
        sum(micros) AS found_micros,
        anyIf(cost, expected_times > 0) AS wanted,
        anyIf(held, expected_times = 0) AS posted,
        expected_charges > 0 AND found_charges > 0 AS both,
        wanted.2 != '' AND posted.3 = 'included' AS is_included,
        if(expected_charges > 0 AND NOT is_included, wanted.3, 0) AS expected_micros,
        multiIf(NOT wanted.4, 'unpublished', wanted.2 = '', '', is_included, 'included', wanted.3 > 0, '', 'beyond') AS covered
    FROM
    (
        SELECT
            unit.1 AS workspace,
            -- What METER does not know stands alone.
            if(id = '', (1, concat(unit.2, '/', unit.3, '/', unit.4, ' ', unit.5, ' ', toString(unit.6))), (0, id)) AS identity,
            (unit.2, unit.3, unit.4, unit.5, unit.6) AS one,
            toInt64(1) AS expected_times, toInt64(0) AS found_times, toInt64(0) AS micros,
            cost, ('', '', '') AS held
        FROM matched
        ARRAY JOIN ids AS id
        UNION ALL
        SELECT
            c.workspace AS workspace, (0, c.unit_id) AS identity,
            argMax((c.app, c.channel, '', c.unit_kind, toUnixTimestamp64Micro(c.start)), (c.sequence, c.charge_index)) AS one,
            toInt64(0), sum(toInt64(c.sign)) AS times, sum(c.sign * c.price_micros) AS charged,
            ('', '', toInt64(0), false), argMax((c.plan, c.pool, c.covered), (c.sequence, c.charge_index))
        FROM ledger_charges AS c
        WHERE c.workspace >= {low:String} AND (c.workspace < {high:String} OR {high:String} = '')
        GROUP BY workspace, identity
        HAVING times != 0 OR charged != 0
    )
    GROUP BY workspace, identity
    HAVING expected_charges != found_charges OR expected_micros != found_micros
        OR (both AND (wanted.1, wanted.2, covered) != posted)
)
ARRAY JOIN
    [
        ('charges', expected_charges, found_charges, ''),
        ('charged micros', expected_micros, found_micros, ''),
        (
            'plan of a charge', 1, toInt64(NOT both OR (wanted.1, wanted.2, covered) = posted),
            concat(
                ': ', wanted.1, if(wanted.2 = '', '', concat(' ', wanted.2)), if(covered = '', '', concat(' ', covered)),
                ', not ', posted.1, if(posted.2 = '', '', concat(' ', posted.2)), if(posted.3 = '', '', concat(' ', posted.3))
            )
        )
    ] AS measure
WHERE measure.2 != measure.3
