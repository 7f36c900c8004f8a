-- U14 after an admission (U6): METER knows nothing of what late events did, so that a session that they added names no
-- conversation, and one that was METER's may name a conversation that went when two became one. Where late events
-- changed the units of a key, a session belongs to the conversation that began last before it.

-- One row per conversation, as it stands, of the keys whose units admitted late events changed; mostly none. Read by key,
-- so that it costs little beside the units of everybody.
CREATE OR REPLACE VIEW late_conversations AS
SELECT
    unit_id, argMax(workspace, turn) AS workspace, argMax(app, turn) AS app, argMax(channel, turn) AS channel,
    argMax(user, turn) AS user, argMax(start, turn) AS start
FROM
(
    SELECT unit_id, workspace, app, channel, user, start, change, (toUInt64(0), revision) AS turn
    FROM unit_events
    WHERE kind = 'conversation' AND environment = 'live'
        AND (workspace, app, channel, user) IN (SELECT workspace, app, channel, user FROM late_units)
    UNION ALL
    SELECT
        unit_id, workspace, app, channel, user, start, if(delta < 0, 'retracted', 'admitted'), (toUInt64(1), sequence)
    FROM late_units
    WHERE kind = 'conversation'
)
GROUP BY unit_id
HAVING argMax(change, turn) != 'retracted';

CREATE OR REPLACE VIEW sessions AS
SELECT
    s.unit_id AS unit_id,
    if(c.unit_id = '', s.conversation_id, c.unit_id) AS conversation_id,
    s.workspace AS workspace, s.app AS app, s.channel AS channel, s.user AS user, s.environment AS environment,
    s.start AS start, s.last AS last, s.billable AS billable, s.closed AS closed, s.inbound AS inbound,
    s.outbound AS outbound, s.revision AS revision
FROM (SELECT *, if(environment = 'live', workspace, '') AS live FROM units WHERE kind = 'session') AS s
ASOF LEFT JOIN late_conversations AS c
    ON s.live = c.workspace AND s.app = c.app AND s.channel = c.channel AND s.user = c.user AND s.start >= c.start;
