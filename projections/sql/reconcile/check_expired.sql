-- C3, C9: a unit that starts at or after a grant's expiry never uses it.
SELECT
    'expired credit used' AS check, workspace, concat(unit_id, ' by ', account, ' at ', toString(sequence)) AS key,
    toString(toDate(start, 'UTC')) AS day, toInt64(0) AS expected, -amount_micros AS found, (app, channel, '', unit_id) AS place
FROM ledger_parts AS p
INNER JOIN
(
    SELECT workspace, concat('grant:', grant_id) AS account, assumeNotNull(expires) AS expires FROM grants WHERE grants.expires IS NOT NULL
) AS g ON g.workspace = p.workspace AND g.account = p.account
WHERE p.what = 'charged' AND p.start >= g.expires AND p.amount_micros < 0
    AND p.workspace >= {low:String} AND (p.workspace < {high:String} OR {high:String} = '')
