-- T1: billed units of one workspace by period and paying account; and, in rows of the quarter 0, which kind of credit each
-- account is. The few of them are put together in Python: a join here costs more than the reading. `begins` are the quarters
-- with which periods begin in the reader's zone, `by_...` the column to split by or `nothing`: to look up calendar and zone
-- for each row, or to decide for each what to split by, takes longer than to read it.
WITH '' AS nothing
SELECT
    roundDown(quarter, {begins:Array(UInt32)}) AS period,
    {by_app:Identifier} AS group_app,
    {by_unit:Identifier} AS group_unit,
    {by_channel:Identifier} AS group_channel,
    account,
    sum(units),
    sum(micros)
FROM billed_quarters
WHERE workspace = {workspace:String} AND quarter >= {begin:UInt32} AND quarter < {end:UInt32}
    AND ({app:String} = '' OR app = {app:String})
    AND ({unit:String} = '' OR unit_kind = {unit:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY period, group_app, group_unit, group_channel, account
UNION ALL
SELECT toUInt32(0), any(credit), '', '', concat('grant:', grant_id), toInt64(0), toInt64(0)
FROM grants
WHERE workspace = {workspace:String}
GROUP BY grant_id
