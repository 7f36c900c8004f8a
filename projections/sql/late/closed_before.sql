-- U7, U11: up to which minute time was closed once this record had come.
SELECT intDiv(greatest(max(toUnixTimestamp64Micro(time)) - {lateness_us:Int64}, 0), 60000000) * 60000000
FROM interactions
WHERE kafka_partition = {partition:UInt32} AND kafka_offset <= {offset:UInt64} AND routed
    AND toUnixTimestamp64Micro(time) <= toUnixTimestamp64Milli(kafka_append) * 1000 + {future_us:Int64}
