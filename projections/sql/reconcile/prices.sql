-- The catalog's dated prices, so that a charge can be priced again (P1).
CREATE TEMPORARY TABLE prices ENGINE = Memory AS
SELECT price.1 AS plan, price.2 AS kind, price.3 AS from_us, price.4 AS amount_micros
FROM
(
    SELECT arrayJoin(arrayZip(
        {price_plans:Array(String)}, {price_kinds:Array(String)}, {price_froms_us:Array(Int64)}, {price_micros:Array(Int64)}
    )) AS price
)
