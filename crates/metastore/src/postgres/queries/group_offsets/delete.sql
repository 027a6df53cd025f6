-- $1 group; $2 topic names, $3 partitions. Answers the partitions that exist, whether the group had committed there or not.
WITH named AS (
    SELECT t.topic_number, t.name, w.partition_index
    FROM unnest($2::text[], $3::int4[]) AS w (topic_name, partition_index)
    JOIN topics t ON t.name = w.topic_name AND t.deleted_at_ms IS NULL
    WHERE w.partition_index >= 0 AND w.partition_index < t.partition_count
), deleted AS (
    DELETE FROM group_offsets o USING named
    WHERE o.group_id = $1 AND o.topic_number = named.topic_number AND o.partition_index = named.partition_index
)
SELECT name, partition_index FROM named
