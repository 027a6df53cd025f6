-- $1 group; $2 topic names, $3 partitions, $4 offsets, $5 leader epochs, $6 metadata: one element per partition, no
-- partition twice; $7 epoch of the coordinator; $8 generation, null where it does not matter.
-- The group's row is the fence, locked against its coordinator's changes until this is committed: a generation that has
-- ended by then commits nothing. Without it no row comes back, otherwise one for each partition that exists, or else a
-- single one of nulls. Rows in order, so that two members that commit the same partitions cannot deadlock.
WITH fence AS MATERIALIZED (
    SELECT group_id FROM consumer_groups
    WHERE group_id = $1 AND coordinator_epoch = $7 AND ($8::int4 IS NULL OR generation = $8)
    FOR SHARE
), committed AS (
    SELECT t.topic_number, t.name, w.*
    FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int4[], $6::bytea[])
        AS w (topic_name, partition_index, committed_offset, leader_epoch, metadata)
    JOIN topics t ON t.name = w.topic_name AND t.deleted_at_ms IS NULL
    WHERE w.partition_index >= 0 AND w.partition_index < t.partition_count
      AND EXISTS (SELECT FROM fence)
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
SELECT committed.name, committed.partition_index FROM fence LEFT JOIN committed ON true
