-- P3, P12: from which instant on which contract covered a workspace, or none. Of contracts, and ends, that hold at an
-- instant the one commanded last counts. That a fee was unpaid (P8) is taken from the ledger.
CREATE TEMPORARY TABLE contract_spans ENGINE = Memory AS
SELECT
    workspace,
    edge_us AS from_us,
    arrayLast(e -> e.2 <= edge_us, events) AS newest,
    newest.3 AND edge_us < newest.4 AS in_force,
    newest.2 AS anchor_us, newest.5 AS allowed, newest.6 AS overage_micros, newest.7 AS months
FROM
(
    -- (sequence, from, whether it begins, until, allowed requests, overage price or 0 where it blocks, months of a term)
    SELECT workspace, arraySort(e -> e.1, groupArray(event)) AS events
    FROM
    (
        SELECT workspace, (
            sequence, effective_us, kind = 'approve_upgrade',
            multiIf(
                kind = 'end_contract', effective_us,
                JSONHas(body, 'contract', 'ends_us') AND JSONType(body, 'contract', 'ends_us') != 'Null',
                JSONExtractInt(body, 'contract', 'ends_us'),
                toInt64(4611686018427387904)
            ),
            toInt64(JSONExtractInt(body, 'contract', 'allowed_requests')),
            toInt64(if(
                JSONExtractString(body, 'contract', 'past') = 'overage', JSONExtractInt(body, 'contract', 'overage_micros'), 0
            )),
            toInt64(if(JSONExtractString(body, 'contract', 'term') = 'yearly', 12, 1))
        ) AS event
        FROM orders
        WHERE kind IN ('approve_upgrade', 'end_contract')
        UNION ALL
        SELECT workspace, (
            sequence, toUnixTimestamp64Micro(assumeNotNull(until)) AS until_us, false, until_us, toInt64(0), toInt64(0), toInt64(1)
        )
        FROM ledger_changes
        WHERE change = 'contract_ends' AND JSONExtractBool(body, 'unpaid')
    )
    GROUP BY workspace
)
ARRAY JOIN arrayDistinct(arrayConcat(events.2, events.4)) AS edge_us
