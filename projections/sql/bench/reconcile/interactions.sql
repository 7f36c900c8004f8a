INSERT INTO interactions (
    kafka_partition, kafka_offset, kafka_append, routed, type, source, id, time, workspace, app, channel, user, direction,
    actor, environment, chars)
SELECT
    number % 4, intDiv(number, 4), fromUnixTimestamp64Milli(intDiv(at_us, 1000), 'UTC'), 1, 'quarterhour.message.v1',
    '/gateways/bench', concat('e', toString(number)), fromUnixTimestamp64Micro(at_us, 'UTC'),
    concat('ws-', toString(if(u % 5 = 0, 0, u % {workspaces:UInt64}))), concat('app-', toString(u % 7)), 'web',
    concat('user-', toString(u)), if(m % 2 = 0, 'inbound', 'outbound'), 'app', 'live', 40
FROM
(
    SELECT
        number, number % {users:UInt64} AS u, intDiv(number, {users:UInt64}) % 14 AS m,
        intDiv(number, 14 * {users:UInt64}) AS h,
        toInt64({first_us:Int64} + h * 3600000000 + m * 60000000 + (u % 60) * 1000000) AS at_us
    FROM numbers({conversations:UInt64} * 14)
)
