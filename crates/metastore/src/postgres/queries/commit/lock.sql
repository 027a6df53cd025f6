-- Statement 1 of 3: lock, and nothing else. Under READ COMMITTED a statement sees other tables as of its own start,
-- so whatever these locks guard is read by a later statement than the one that waited for them.
--
-- Order: stream rows, then partition rows, each sorted. The sub-select makes the stream locks come first: it is a
-- one-time filter, evaluated before the first name is looked at. NO KEY: foreign keys may still be checked. LIMIT 1 as
-- in read.sql: left to itself the planner, while it knows nothing of the table, reads all partitions of a topic for
-- each that is named.
WITH locked_streams AS MATERIALIZED (
    SELECT stream_id FROM streams WHERE stream_id = ANY ($1::uuid[]) ORDER BY stream_id FOR NO KEY UPDATE
)
SELECT count(*)
FROM (
    SELECT t.topic_number, named.partition_index
    FROM unnest($2::uuid[], $3::int4[]) AS named (topic_id, partition_index)
    JOIN topics t USING (topic_id)
    WHERE (SELECT count(*) FROM locked_streams) >= 0
    ORDER BY t.topic_number, named.partition_index
) sorted
CROSS JOIN LATERAL (
    SELECT 1 FROM partitions p
    WHERE p.topic_number = sorted.topic_number AND p.partition_index = sorted.partition_index
    LIMIT 1
    FOR NO KEY UPDATE
) locked
