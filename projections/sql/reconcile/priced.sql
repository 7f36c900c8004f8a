-- U10, P1-P5, E4: what each recounted unit costs by the plan in force at its start. Only those that lead to a charge.
-- `pool`: the term whose included units it may take, `allowed` of them; past those it costs `past_micros`.
CREATE TEMPORARY TABLE priced ENGINE = Memory AS
WITH
    (anchor_us, months) -> toUnixTimestamp64Micro(addMonths(fromUnixTimestamp64Micro(anchor_us, 'UTC'), months)) AS after
SELECT
    unit.workspace AS workspace, unit.app AS app, unit.channel AS channel, unit.user AS user, unit.kind AS kind,
    unit.start_us AS start_us, unit.effective_plan AS plan,
    multiIf(
        NOT pooled OR NOT published, '',
        covered, concat('@', toString(term_us)),
        concat(unit.app, '@', toString(term_us))
    ) AS pool,
    toInt64(multiIf(pool = '', 0, covered, contract_allowed, trial, {trial_included:Int64}, offered.included)) AS allowed,
    toInt64(multiIf(NOT published, 0, NOT pooled, price.amount_micros, covered, overage_micros, trial, 0, price.amount_micros)) AS past_micros,
    published
FROM
(
    SELECT
        *,
        if(
            own_months > 0 AND NOT covered OR covered,
            -- The term that holds the start: months are counted from the anchor, on the last day of shorter months.
            after(anchor_us, term_months * (terms_begun - toInt64(after(anchor_us, term_months * terms_begun) > start_us))),
            anchor_us
        ) AS term_us
    FROM
    (
        SELECT
            u.workspace AS workspace, u.app AS app, u.channel AS channel, u.user AS user, u.kind AS kind, u.start_us AS start_us,
            c.in_force AS covered, c.allowed AS contract_allowed, c.overage_micros AS overage_micros,
            a.months AS own_months,
            multiIf(covered, {contract_plan:String}, a.in_force, a.plan, {default_plan:String}) AS effective_plan,
            a.in_force AND NOT covered AND a.months = 0 AS trial,
            if(covered, c.anchor_us, a.anchor_us) AS anchor_us,
            toInt64(greatest(if(covered, c.months, a.months), 1)) AS term_months,
            intDiv(
                dateDiff('month', fromUnixTimestamp64Micro(anchor_us, 'UTC'), fromUnixTimestamp64Micro(start_us, 'UTC')),
                term_months
            ) AS terms_begun,
            p.app = '' OR p.published AS published,
            kind = transform(effective_plan, {plans:Array(String)}, {billing_units:Array(String)}, '') AS main,
            main AND (covered OR a.in_force) AS pooled
        FROM (SELECT * FROM recounted WHERE billable) AS u
        ASOF LEFT JOIN contract_spans AS c ON c.workspace = u.workspace AND c.from_us <= u.start_us
        ASOF LEFT JOIN app_spans AS a ON a.workspace = u.workspace AND a.app = u.app AND a.from_us <= u.start_us
        ASOF LEFT JOIN publications AS p ON p.workspace = u.workspace AND p.app = u.app AND p.from_us <= u.start_us
    )
    WHERE main OR (kind IN ('notification', 'alert') AND published)
) AS unit
ASOF LEFT JOIN prices AS price
    ON price.plan = unit.effective_plan AND price.kind = unit.kind AND price.from_us <= unit.start_us
ASOF LEFT JOIN offers AS offered
    ON offered.plan = unit.effective_plan AND offered.months = unit.term_months AND offered.from_us <= unit.term_us
WHERE pooled OR NOT published OR price.amount_micros > 0
