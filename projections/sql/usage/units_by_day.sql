-- Net units of all environments by the UTC day of their start.
SELECT workspace, toString(day) AS day, kind AS unit, sum(units) AS count
FROM usage_daily
WHERE kind IN ('conversation', 'session')
GROUP BY workspace, day, unit
HAVING count != 0
ORDER BY workspace, day, unit
