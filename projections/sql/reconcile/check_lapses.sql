-- C3, C9: credit lapses once ACCOUNTS' clock has passed its expiry, and with that instant; what has no expiry never does.
-- The clock at a record is what every partition of `interactions` had reached before it, by the watermarks of the inbox.
WITH
    lapses AS
    (
        SELECT
            p.workspace AS workspace, p.sequence AS sequence, p.account AS account, -sum(p.amount_micros) AS lapsed_micros,
            any(toUnixTimestamp64Micro(p.time)) AS time_us, any(g.expires_us) AS grant_expires_us
        FROM ledger_parts AS p
        LEFT JOIN
        (
            SELECT
                workspace, concat('grant:', grant_id) AS account,
                ifNull(toUnixTimestamp64Micro(expires), toInt64(9223372036854775807)) AS expires_us
            FROM grants
        ) AS g ON g.workspace = p.workspace AND g.account = p.account
        WHERE p.what = 'lapsed'
        GROUP BY workspace, sequence, account
    ),
    records AS
    (
        SELECT workspace, sequence, kind, toUInt32(origin_partition) AS inbox_partition, origin_offset AS inbox_offset
        FROM ledger_entries
        WHERE (workspace, sequence) IN (SELECT workspace, sequence FROM lapses)
    ),
    -- By inbox partition, source and place: what was heard last before it.
    heard AS
    (
        SELECT
            r.inbox_partition AS inbox_partition, r.inbox_offset AS inbox_offset, r.source AS source,
            w.offset > 0 AS is_heard, w.complete_us AS complete_us, w.sources AS sources
        FROM
        (
            SELECT places.inbox_partition AS inbox_partition, places.inbox_offset AS inbox_offset, s.source AS source
            FROM (SELECT DISTINCT inbox_partition, inbox_offset FROM records) AS places
            INNER JOIN (SELECT DISTINCT kafka_partition, origin_partition AS source FROM watermarks) AS s
                ON s.kafka_partition = places.inbox_partition
        ) AS r
        ASOF LEFT JOIN
        (
            SELECT
                kafka_partition, origin_partition, kafka_offset + 1 AS offset, source_partitions AS sources,
                max(toUnixTimestamp64Micro(complete)) OVER (
                    PARTITION BY kafka_partition, origin_partition ORDER BY kafka_offset
                ) AS complete_us
            FROM watermarks
            WHERE kafka_partition IN (SELECT inbox_partition FROM records)
        ) AS w ON w.kafka_partition = r.inbox_partition AND w.origin_partition = r.source AND r.inbox_offset + 1 >= w.offset
    ),
    clocks AS
    (
        -- Nothing before all have been heard; partitions that were added count once all others have told of them.
        SELECT
            inbox_partition, inbox_offset,
            if(countIf(is_heard) > 0 AND countIf(is_heard) >= minIf(sources, is_heard), minIf(complete_us, is_heard), 0) AS clock_us
        FROM heard
        GROUP BY inbox_partition, inbox_offset
    )
SELECT
    'lapsed before its time' AS check, l.workspace AS workspace, concat(l.account, ' at ', toString(l.sequence)) AS key, '' AS day,
    toInt64(0) AS expected, l.lapsed_micros AS found
FROM lapses AS l
INNER JOIN records AS r ON r.workspace = l.workspace AND r.sequence = l.sequence
LEFT JOIN clocks AS c ON c.inbox_partition = r.inbox_partition AND c.inbox_offset = r.inbox_offset
WHERE c.clock_us < l.grant_expires_us OR (r.kind = 'lapse' AND l.time_us < l.grant_expires_us)
