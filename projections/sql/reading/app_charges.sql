-- The newest charges and reversals of one app, as an app's owner may see them (W2): without the workspace's balances.
SELECT start, unit_id, unit_kind, channel, sign, price_micros, plan, covered
FROM ledger_charges
WHERE workspace = {workspace:String} AND app = {app:String}
ORDER BY sequence DESC, charge_index DESC
LIMIT {limit:UInt32}
