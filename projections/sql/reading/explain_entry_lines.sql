SELECT line_index, account, amount_micros, balance_micros
FROM ledger_lines
WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64}
ORDER BY line_index
