-- A statement's money: of each account (a grant, or what an app owes) by cause, what took effect before the period and in
-- it; which credit each grant is; and which records it rests on. `part` says what a row is.
SELECT 'flow' AS part, account AS a, what AS b, '' AS c,
    [sumIf(amount_micros, time < fromUnixTimestamp64Micro({begin_us:Int64}, 'UTC')),
     sumIf(amount_micros, time >= fromUnixTimestamp64Micro({begin_us:Int64}, 'UTC'))] AS n
FROM ledger_parts
WHERE workspace = {workspace:String} AND time < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
GROUP BY account, what
UNION ALL
SELECT 'grant', grant_id, any(app), any(credit), [toInt64(0)]
FROM grants
WHERE workspace = {workspace:String}
GROUP BY grant_id
UNION ALL
SELECT 'period', argMax(hash, sequence), '', '', [toInt64(min(sequence)), toInt64(max(sequence)), toInt64(count())]
FROM ledger_entries
WHERE workspace = {workspace:String} AND time >= fromUnixTimestamp64Micro({begin_us:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
UNION ALL
SELECT 'newest', hash, '', '', [toInt64(sequence)]
FROM (SELECT hash, sequence FROM ledger_entries WHERE workspace = {workspace:String} ORDER BY workspace DESC, sequence DESC LIMIT 1)
