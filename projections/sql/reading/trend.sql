-- T1: billed units of one workspace by period in the reader's zone, and which credit paid.
SELECT
    multiIf(
        {grain:String} = 'month', toStartOfMonth(day),
        {grain:String} = 'week', toMonday(day),
        day
    ) AS period,
    if(has({by:Array(String)}, 'app'), b.app, '') AS group_app,
    if(has({by:Array(String)}, 'unit'), b.unit_kind, '') AS group_unit,
    if(has({by:Array(String)}, 'channel'), b.channel, '') AS group_channel,
    sum(u) AS units,
    sumIf(u, credit = 'free') AS free_units,
    sumIf(u, credit = 'paid') AS paid_units,
    sumIf(u, credit = 'due') AS due_units,
    sum(m) AS micros,
    sumIf(m, credit = 'free') AS free_micros,
    sumIf(m, credit = 'paid') AS paid_micros,
    sumIf(m, credit = 'due') AS due_micros
FROM
(
    SELECT
        toDate(fromUnixTimestamp64Second(toInt64(quarter) * 900, {zone:String}), {zone:String}) AS day,
        app, unit_kind, channel, account, sum(billed_quarters.units) AS u, sum(billed_quarters.micros) AS m
    FROM billed_quarters
    WHERE workspace = {workspace:String}
        AND quarter >= intDiv({begin_s:Int64}, 900) AND quarter < intDiv({end_s:Int64}, 900)
        AND {app:String} IN ('', app) AND {unit:String} IN ('', unit_kind) AND {channel:String} IN ('', channel)
    GROUP BY day, app, unit_kind, channel, account
) AS b
LEFT JOIN
(
    SELECT concat('grant:', grant_id) AS account, any(grants.credit) AS grant_credit
    FROM grants
    WHERE workspace = {workspace:String}
    GROUP BY account
) AS g ON g.account = b.account
ARRAY JOIN [if(startsWith(b.account, 'due'), 'due', g.grant_credit)] AS credit
GROUP BY period, group_app, group_unit, group_channel
ORDER BY period, group_app, group_unit, group_channel
