-- What was charged of units that began in a period, net of what was taken back (C8): as the view `charges_of_period` has it,
-- but between instants, so that a statement's charges and balances are of the same days wherever ClickHouse's calendar of
-- time zones is older than ours.
SELECT
    app, unit_kind AS kind, plan, price_micros, countIf(sign > 0) AS charged_units, countIf(sign < 0) AS reversed_units,
    sum(sign * price_micros) AS micros
FROM ledger_charges
WHERE workspace = {workspace:String} AND start >= fromUnixTimestamp64Micro({begin_us:Int64}, 'UTC')
    AND start < fromUnixTimestamp64Micro({end_us:Int64}, 'UTC')
GROUP BY app, kind, plan, price_micros
ORDER BY app, kind, plan, price_micros
