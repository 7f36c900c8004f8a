-- L4: the sum of what had taken effect by the instant.
SELECT
    max(p.sequence),
    sumIf(p.amount_micros, g.credit = 'free'),
    sumIf(p.amount_micros, g.credit = 'paid' AND g.app = ''),
    sumIf(p.amount_micros, g.credit = 'paid' AND g.app != ''),
    -sumIf(p.amount_micros, startsWith(p.account, 'due'))
FROM ledger_parts AS p
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS credit, any(grants.app) AS app
    FROM grants
    WHERE workspace = {workspace:String}
    GROUP BY account
) AS g ON g.account = p.account
WHERE p.workspace = {workspace:String} AND p.time <= fromUnixTimestamp64Micro({instant_us:Int64}, 'UTC')
