-- L6, P1: billable units priced again at their start, against the ledger: how many charges, and the net usage lines.
SELECT measure.1 AS check, workspace, kind AS key, '' AS day, measure.2 AS expected, measure.3 AS found
FROM
(
    SELECT
        workspace, kind,
        sum(expected_count) AS expected_count,
        sum(expected_micros) AS expected_micros,
        sum(found_count) AS found_count,
        sum(found_micros) AS found_micros
    FROM
    (
        SELECT
            workspace,
            recounted.kind AS kind,
            toInt64(prices.amount_micros > 0) AS expected_count,
            toInt64(prices.amount_micros) AS expected_micros,
            toInt64(0) AS found_count,
            toInt64(0) AS found_micros
        FROM recounted
        ASOF JOIN prices ON recounted.kind = prices.kind AND recounted.start_us >= prices.from_us
        WHERE billable
        UNION ALL
        SELECT workspace, unit_kind AS kind, toInt64(0), toInt64(0), toInt64(sign), toInt64(0)
        FROM ledger_charges
        WHERE price_micros > 0
        UNION ALL
        SELECT workspace, substring(account, 7) AS kind, toInt64(0), toInt64(0), toInt64(0), amount_micros
        FROM ledger_lines
        WHERE startsWith(account, 'usage:')
    )
    GROUP BY workspace, kind
)
ARRAY JOIN
    [('charges', expected_count, found_count), ('charged micros', expected_micros, found_micros)] AS measure
WHERE measure.2 != measure.3
