-- Statement 1 of 3: lock, and nothing else. Under READ COMMITTED a statement sees other tables as of its own start,
-- so whatever these locks guard is read by a later statement than the one that waited for them.
--
-- Order: stream rows, then partition rows, each sorted. The sub-select makes the stream locks come first: it is a
-- one-time filter, evaluated before the first partition row is looked at. NO KEY: foreign keys may still be checked.
WITH locked_streams AS MATERIALIZED (
    SELECT stream_id FROM streams WHERE stream_id = ANY ($1::uuid[]) ORDER BY stream_id FOR NO KEY UPDATE
)
SELECT count(*) FROM (
    SELECT 1
    FROM partitions p
    WHERE (SELECT count(*) FROM locked_streams) >= 0
      AND (p.topic_number, p.partition_index) IN (
          SELECT t.topic_number, named.partition_index
          FROM unnest($2::uuid[], $3::int4[]) AS named (topic_id, partition_index)
          JOIN topics t USING (topic_id)
      )
    ORDER BY p.topic_number, p.partition_index
    FOR NO KEY UPDATE
) locked
