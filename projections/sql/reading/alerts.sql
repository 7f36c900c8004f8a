SELECT alert_id, kind, time, message
FROM alerts
WHERE workspace = {workspace:String}
ORDER BY time DESC, alert_id
LIMIT 20
