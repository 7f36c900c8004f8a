-- T6: the newest append that can be seen, and the newest event time METER has told of.
SELECT
    (SELECT if(count() = 0, NULL, max(newest_append)) FROM load_visible) AS data_up_to,
    (SELECT if(count() = 0, NULL, max(now)) FROM watermarks) AS clock,
    (SELECT count() FROM rejected) AS rejected_events,
    (SELECT count() FROM late) AS late_events
