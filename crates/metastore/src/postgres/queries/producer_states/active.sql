-- Producers of some partitions that wrote within the last $3 ms, by the prefix of the primary key.
SELECT s.topic_number, s.partition_index, s.producer_id, s.producer_epoch, s.updated_at_ms AS c,
       s.base_sequences, s.record_counts, s.base_offsets
FROM (SELECT DISTINCT * FROM unnest($1::int4[], $2::int4[])) AS wanted (topic_number, partition_index)
JOIN producer_state s USING (topic_number, partition_index)
WHERE s.updated_at_ms >= (extract(epoch FROM now()) * 1000)::int8 - $3
