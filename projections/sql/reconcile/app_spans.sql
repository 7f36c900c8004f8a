-- P4, P11, P12: from which instant on an app was on which plan of its own, or none. A contract ends the plans of all apps; a
-- subscription that is cancelled ends with its term, a trial at once; who takes the same again before goes on with it. That
-- a fee was unpaid (P8) is taken from the ledger.
CREATE TEMPORARY TABLE app_spans ENGINE = Memory AS
WITH
    (anchor_us, months) -> toUnixTimestamp64Micro(addMonths(fromUnixTimestamp64Micro(anchor_us, 'UTC'), months)) AS after,
    (anchor_us, months, at_us) -> months * intDiv(
        dateDiff('month', fromUnixTimestamp64Micro(anchor_us, 'UTC'), fromUnixTimestamp64Micro(at_us, 'UTC')), months
    ) AS months_begun,
    (anchor_us, months, at_us) -> after(
        anchor_us,
        months_begun(anchor_us, months, at_us)
            + if(after(anchor_us, months_begun(anchor_us, months, at_us)) <= at_us, months, 0)
    ) AS end_of_term
SELECT
    workspace, app,
    edge_us AS from_us,
    arrayLast(e -> e.2 <= edge_us, events) AS newest,
    newest.3 AND edge_us < newest.4 AS in_force,
    newest.8 AS anchor_us, newest.5 AS plan, newest.6 AS months
FROM
(
    -- (sequence, from, whether it begins, until, plan, months of a term or 0 for a trial, whether it is a cancellation, from
    -- when its terms are counted)
    SELECT
        workspace, app,
        arrayFold(
            (known, event) -> arrayPushBack(
                known,
                multiIf(
                    event.7 AND arrayLast(e -> e.2 <= event.2, known).6 > 0,
                    (
                        event.1,
                        end_of_term(
                            arrayLast(e -> e.2 <= event.2, known).8,
                            greatest(arrayLast(e -> e.2 <= event.2, known).6, 1),
                            event.2
                        ),
                        event.3, event.4, event.5, event.6, event.7, event.8
                    ),
                    event.3 AND known[-1].7 AND known[-1].2 > event.2
                        AND (arrayLast(e -> e.2 <= event.2, known).5, arrayLast(e -> e.2 <= event.2, known).6)
                            = (event.5, event.6),
                    (
                        event.1, event.2, event.3, event.4, event.5, event.6, event.7,
                        arrayLast(e -> e.2 <= event.2, known).8
                    ),
                    event
                )
            ),
            arraySort(e -> e.1, groupArray(event)),
            CAST([], 'Array(Tuple(UInt64, Int64, UInt8, Int64, String, Int64, UInt8, Int64))')
        ) AS events
    FROM
    (
        SELECT workspace, app, (
            sequence, effective_us, kind != 'cancel' AS begins,
            if(kind = 'start_trial', effective_us + {trial_us:Int64}, if(kind = 'cancel', effective_us, toInt64(4611686018427387904))),
            multiIf(kind = 'start_trial', {trial_plan:String}, kind = 'cancel', '', JSONExtractString(body, 'plan')),
            toInt64(multiIf(kind != 'subscribe', 0, JSONExtractString(body, 'period') = 'yearly', 12, 1)),
            kind = 'cancel',
            effective_us
        ) AS event
        FROM orders
        WHERE kind IN ('start_trial', 'subscribe', 'cancel')
        UNION ALL
        SELECT workspace, app, (
            sequence, toUnixTimestamp64Micro(assumeNotNull(until)) AS until_us, false, until_us, '', toInt64(0), false, until_us
        )
        FROM ledger_changes
        WHERE change = 'plan_ends' AND JSONExtractBool(body, 'unpaid')
        UNION ALL
        SELECT workspace, apps.app, (sequence, effective_us, false, effective_us, '', toInt64(0), false, effective_us)
        FROM orders
        INNER JOIN (SELECT DISTINCT workspace, app FROM orders WHERE kind IN ('start_trial', 'subscribe')) AS apps
            ON apps.workspace = orders.workspace
        WHERE kind = 'approve_upgrade'
    )
    GROUP BY workspace, app
)
ARRAY JOIN arrayDistinct(arrayConcat(events.2, events.4)) AS edge_us
