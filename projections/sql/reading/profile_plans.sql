-- What is in force at `now`, with the begin of the next term; months are counted from the plan's begin (P8).
SELECT
    kind, app, plan, period, began, until, terms,
    -- NULL where nothing renews: a trial, or what ends with this term.
    if(months = 0 OR (until IS NOT NULL AND until <= due_at), NULL, due_at) AS due,
    if(months = 0, began, addMonths(began, months * begun)) AS term,
    used.included AS included_used
FROM
(
    SELECT
        kind, app, plan, period, h.from AS began, until, terms,
        multiIf(period = 'yearly', 12, period = 'monthly', 1, 0) AS months,
        intDiv(dateDiff('month', began, {now:DateTime64(6, 'UTC')}), greatest(months, 1)) AS crossed,
        crossed - toInt64(addMonths(began, months * crossed) > {now:DateTime64(6, 'UTC')}) AS begun,
        addMonths(began, months * (begun + 1)) AS due_at
    FROM plan_history AS h
    WHERE workspace = {workspace:String} AND began <= {now:DateTime64(6, 'UTC')}
        AND (until IS NULL OR until > {now:DateTime64(6, 'UTC')})
) AS running
LEFT JOIN
(
    SELECT app AS of_app, included_units.term AS of_term, sum(included) AS included
    FROM included_units
    WHERE workspace = {workspace:String}
    GROUP BY of_app, of_term
) AS used ON used.of_app = running.app AND used.of_term = term
ORDER BY kind, app, began
