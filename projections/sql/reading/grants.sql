-- Credits of a workspace: what was given, used, lapsed, and remains; what can still be used first.
SELECT
    g.grant_id, g.credit, g.app, g.granted, g.expires,
    sumIf(f.micros, f.what = 'issued') AS given_micros,
    -sumIf(f.micros, f.what IN ('charged', 'returned', 'settled')) AS used_micros,
    -sumIf(f.micros, f.what = 'lapsed') AS lapsed_micros,
    sumIf(f.micros, f.what NOT IN ('', 'issued', 'charged', 'returned', 'settled', 'lapsed')) AS moved_micros,
    sum(f.micros) AS remaining_micros
FROM (SELECT DISTINCT grant_id, credit, app, granted, expires FROM grants WHERE workspace = {workspace:String}) AS g
LEFT JOIN (SELECT account, what, micros FROM account_flows WHERE workspace = {workspace:String}) AS f
    ON f.account = concat('grant:', g.grant_id)
GROUP BY g.grant_id, g.credit, g.app, g.granted, g.expires
ORDER BY remaining_micros = 0, g.credit, g.app, g.granted, g.grant_id
