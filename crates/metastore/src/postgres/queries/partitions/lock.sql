-- In the commit's order. What the locks guard is read by the next statement.
SELECT locked.topic_number, locked.partition_index
FROM (
    SELECT DISTINCT topic_number, partition_index
    FROM unnest($1::int4[], $2::int4[]) AS named (topic_number, partition_index)
    ORDER BY topic_number, partition_index
) sorted
CROSS JOIN LATERAL (
    SELECT p.topic_number, p.partition_index FROM partitions p
    WHERE p.topic_number = sorted.topic_number AND p.partition_index = sorted.partition_index
    LIMIT 1
    FOR NO KEY UPDATE
) locked
