-- $1 the topic's id, $2 how many partitions it is to have. Answers how many it had, so that the caller knows whether that
-- was fewer. The row is locked first: of two callers the second sees what the first one left, and a topic that is being
-- deleted gets no partitions any more. Nobody locks partitions that do not exist yet, so their order does not matter.
WITH before AS (
    SELECT topic_number, partition_count FROM topics WHERE topic_id = $1 AND deleted_at_ms IS NULL FOR NO KEY UPDATE
), grown AS (
    UPDATE topics t SET partition_count = $2
    FROM before
    WHERE t.topic_number = before.topic_number AND before.partition_count < $2
), its_partitions AS (
    INSERT INTO partitions (topic_number, partition_index)
    SELECT topic_number, partition_index
    FROM before, generate_series(before.partition_count, $2 - 1) AS partition_index
)
SELECT partition_count FROM before
