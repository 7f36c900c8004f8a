SELECT sequence, sign, unit_id, unit_kind, start, price_micros, plan
FROM ledger_charges
WHERE workspace = {workspace:String} AND unit_id = {unit_id:String}
ORDER BY sequence, charge_index
