-- The first events of the keys and days that differ, for a person to look at: `source id` of each.
-- Bound into the text by the client (escaped), because a hundred keys are too long for the parameters of a request.
SELECT wanted.number, arraySlice(groupArray(what), 1, 5)
FROM
(
    SELECT w.number AS number, concat(i.source, ' ', i.id) AS what
    FROM
    (
        SELECT
            number, workspace, app, channel, if(user != '' OR unit_id = '', user, known.user) AS user, day
        FROM
        (
            SELECT arrayJoin(arrayZip(
                range(length(%(workspaces)s)), %(workspaces)s, %(apps)s,
                %(channels)s, %(users)s, %(unit_ids)s, %(days)s
            )) AS w, w.1 AS number, w.2 AS workspace, w.3 AS app, w.4 AS channel, w.5 AS user, w.6 AS unit_id, w.7 AS day
        ) AS asked
        LEFT JOIN
        (
            SELECT DISTINCT unit_id, user FROM unit_events WHERE unit_id IN %(unit_ids)s
        ) AS known ON known.unit_id = asked.unit_id
    ) AS w
    INNER JOIN
    (
        SELECT workspace, app, channel, user, source, id, time
        FROM interactions
        WHERE workspace IN %(workspaces)s AND toString(toDate(time, 'UTC')) IN %(days)s
    ) AS i ON i.workspace = w.workspace AND i.app = w.app AND i.channel = w.channel AND i.user = w.user
    WHERE toString(toDate(i.time, 'UTC')) = w.day
    ORDER BY w.number, i.time
) AS wanted
GROUP BY wanted.number
