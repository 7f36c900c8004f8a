-- Everything in one row. `metered` counts distinct events of all types (U7).
SELECT
    (
        SELECT uniqExact(workspace, app, channel, user, environment, source, id)
        FROM interactions
        WHERE routed AND type != 'quarterhour.tick.v1'
            AND (kafka_partition, kafka_offset) NOT IN
            (
                SELECT origin_partition, origin_offset FROM late WHERE origin_topic = 'interactions'
                UNION ALL
                SELECT origin_partition, origin_offset FROM rejected WHERE origin_topic = 'interactions'
            )
    ) AS metered,
    (SELECT sumIf(units, kind = 'conversation') FROM usage_daily) AS conversations,
    (SELECT sumIf(units, kind = 'session') FROM usage_daily) AS sessions,
    (SELECT count() FROM late) AS late,
    (SELECT count() FROM rejected) AS rejected,
    (SELECT sumIf(amount_micros, startsWith(account, 'usage:')) FROM ledger_lines) AS charged_micros,
    (SELECT sum(due_micros) FROM balances) AS due_micros,
    (SELECT sumIf(amount_micros, account = 'lapsed') FROM ledger_lines) AS lapsed_micros,
    (SELECT count() FROM alerts) AS alerts,
    (SELECT mapFromArrays(groupArray(outcome), groupArray(records)) FROM outcomes) AS outcomes
