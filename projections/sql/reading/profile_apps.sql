SELECT
    p.app, p.owner, p.created, p.products, p.status, e.allowed, e.why, e.since, e.allowed_requests, e.support_plan, e.inactive, e.paid,
    e.balance, e.average_daily_units, e.burn_micros, e.days_left, e.app != '' AS is_told,
    arraySort(groupArrayIf((c.user, c.role), c.user != ''))
FROM (SELECT * FROM app_profiles WHERE workspace = {workspace:String}) AS p
LEFT JOIN (SELECT * FROM app_entitlements WHERE workspace = {workspace:String}) AS e ON e.app = p.app
LEFT JOIN (SELECT * FROM collaborators WHERE workspace = {workspace:String}) AS c ON c.app = p.app
GROUP BY ALL
ORDER BY p.app
