-- E4: from which instant on an app was published. One that was created was not before; one that nobody created always was.
CREATE TEMPORARY TABLE publications ENGINE = Memory AS
SELECT
    workspace, app,
    edge_us AS from_us,
    notEmpty(arrayFilter(e -> e.2 <= edge_us, toggles)) ? arrayLast(e -> e.2 <= edge_us, toggles).3 : NOT created AS published
FROM
(
    SELECT
        workspace, app, countIf(kind = 'create_app') > 0 AS created,
        arraySort(e -> e.1, groupArrayIf((sequence, effective_us, kind = 'publish_app'), kind != 'create_app')) AS toggles
    FROM orders
    WHERE kind IN ('create_app', 'publish_app', 'unpublish_app')
    GROUP BY workspace, app
)
ARRAY JOIN arrayDistinct(arrayPushFront(toggles.2, toInt64(0))) AS edge_us
