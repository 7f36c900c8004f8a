-- The catalog's dated offers: what a term of a subscription includes (P4).
CREATE TEMPORARY TABLE offers ENGINE = Memory AS
SELECT offer.1 AS plan, offer.2 AS months, offer.3 AS from_us, offer.4 AS included
FROM
(
    SELECT arrayJoin(arrayZip(
        {offer_plans:Array(String)}, {offer_months:Array(Int64)}, {offer_froms_us:Array(Int64)}, {offer_included:Array(Int64)}
    )) AS offer
)
