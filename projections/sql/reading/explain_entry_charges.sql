SELECT sequence, sign, unit_id, unit_kind, start, price_micros, plan
FROM ledger_charges
WHERE workspace = {workspace:String} AND unit_id IN
    (
        SELECT unit_id FROM ledger_lines
        WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64} AND unit_id != ''
        UNION ALL
        -- Late events may have changed many (U6).
        SELECT unit_id FROM ledger_charges
        WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64} AND
            (
                SELECT count() > 0 FROM ledger_entries
                WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64} AND kind = 'late_admitted'
            )
        UNION ALL
        SELECT cause FROM ledger_entries WHERE workspace = {workspace:String} AND sequence = {sequence:UInt64}
    )
    AND sequence = {sequence:UInt64}
ORDER BY charge_index
