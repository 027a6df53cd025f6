-- $1 group; $2 topic names, $3 partitions, $4 offsets, $5 leader epochs, $6 metadata: one element per partition, no
-- partition twice. Answers the partitions it knew. Rows in order, so that two members that commit the same partitions
-- cannot deadlock.
WITH committed AS (
    SELECT t.topic_number, t.name, w.*
    FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int4[], $6::bytea[])
        AS w (topic_name, partition_index, committed_offset, leader_epoch, metadata)
    JOIN topics t ON t.name = w.topic_name AND t.deleted_at_ms IS NULL
    WHERE w.partition_index >= 0 AND w.partition_index < t.partition_count
), written AS (
    INSERT INTO group_offsets (group_id, topic_number, partition_index, committed_offset, leader_epoch, metadata)
    SELECT $1, topic_number, partition_index, committed_offset, leader_epoch, metadata
    FROM committed
    ORDER BY topic_number, partition_index
    ON CONFLICT (group_id, topic_number, partition_index) DO UPDATE
    SET committed_offset = excluded.committed_offset,
        leader_epoch = excluded.leader_epoch,
        metadata = excluded.metadata,
        committed_at = now()
)
SELECT name, partition_index FROM committed
