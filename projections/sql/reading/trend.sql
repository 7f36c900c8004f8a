-- T1: billed units of one workspace by period in the reader's zone and paying account; and, in rows of the day 0, which
-- kind of credit each account is. The few of them are put together in Python: a join here costs more than the reading.
SELECT
    multiIf(
        {grain:String} = 'month', toStartOfMonth(toDate(toDateTime(quarter * 900, {zone:String}))),
        {grain:String} = 'week', toMonday(toDate(toDateTime(quarter * 900, {zone:String}))),
        toDate(toDateTime(quarter * 900, {zone:String}))
    ) AS period,
    if(has({by:Array(String)}, 'app'), app, '') AS group_app,
    if(has({by:Array(String)}, 'unit'), unit_kind, '') AS group_unit,
    if(has({by:Array(String)}, 'channel'), channel, '') AS group_channel,
    account,
    sum(units),
    sum(micros)
FROM billed_quarters
WHERE workspace = {workspace:String}
    AND quarter >= intDiv({begin_s:Int64}, 900) AND quarter < intDiv({end_s:Int64}, 900)
    AND ({app:String} = '' OR app = {app:String})
    AND ({unit:String} = '' OR unit_kind = {unit:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY period, group_app, group_unit, group_channel, account
UNION ALL
SELECT toDate(0), any(credit), '', '', concat('grant:', grant_id), toInt64(0), toInt64(0)
FROM grants
WHERE workspace = {workspace:String}
GROUP BY grant_id
