-- L4: what the newest ledger record that was there by the instant says.
SELECT sequence, free_micros, paid_shared_micros, paid_apps_micros, due_micros
FROM ledger_entries
WHERE workspace = {workspace:String} AND kafka_append <= fromUnixTimestamp64Micro({instant_us:Int64}, 'UTC')
ORDER BY workspace DESC, sequence DESC
LIMIT 1
