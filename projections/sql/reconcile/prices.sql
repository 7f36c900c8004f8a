-- The catalog's dated prices, so that a charge can be priced again (P1).
CREATE TEMPORARY TABLE prices ENGINE = Memory AS
SELECT price.1 AS kind, price.2 AS from_us, price.3 AS amount_micros
FROM (SELECT arrayJoin(arrayZip({kinds:Array(String)}, {froms_us:Array(Int64)}, {amounts_micros:Array(Int64)})) AS price)
