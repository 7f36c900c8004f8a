SELECT time, workspace, kind, available_micros, threshold_micros, message
FROM alerts
ORDER BY time, workspace, alert_id
