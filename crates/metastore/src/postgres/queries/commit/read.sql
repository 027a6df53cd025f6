-- Statement 2 of 3: read what the locks guard, all of it in one round trip. Rows of five shapes share wide columns;
-- `shape` tells which: 0 the clock, 1 a stream, 2 a partition, 3 a producer's state, 4 a pending slot, 5 the outcomes
-- of a slot that an earlier commit has.
--
-- LIMIT 1 in a lateral sub-select keeps each row's look-up by its whole primary key. Left to itself the planner, which
-- thinks that an array has ten elements, reads all partitions there are, and of each of those named all producers there
-- ever were, and compares every one with every producer named.
SELECT 0 AS shape, NULL::uuid AS id, NULL::int4 AS topic_number, NULL::int4 AS partition_index,
       (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS a, NULL::int8 AS b, NULL::int8 AS c,
       NULL::int4[] AS base_sequences, NULL::int4[] AS record_counts, NULL::int8[] AS base_offsets, NULL::bytea AS bytes
UNION ALL
SELECT 1, stream_id, NULL, NULL, next_seq, end_seq, NULL, NULL, NULL, NULL, NULL
FROM streams WHERE stream_id = ANY ($1::uuid[])
UNION ALL
SELECT 2, t.topic_id, p.topic_number, p.partition_index, p.next_offset, p.max_timestamp_ms, NULL, NULL, NULL, NULL, NULL
FROM unnest($2::uuid[], $3::int4[]) AS wanted (topic_id, partition_index)
JOIN topics t USING (topic_id)
CROSS JOIN LATERAL (
    SELECT * FROM partitions p
    WHERE p.topic_number = t.topic_number AND p.partition_index = wanted.partition_index
    LIMIT 1
) p
UNION ALL
SELECT 3, NULL, s.topic_number, s.partition_index, s.producer_id, s.producer_epoch, s.updated_at_ms,
       s.base_sequences, s.record_counts, s.base_offsets, NULL
FROM unnest($4::uuid[], $5::int4[], $6::int8[]) AS wanted (topic_id, partition_index, producer_id)
JOIN topics t USING (topic_id)
CROSS JOIN LATERAL (
    SELECT * FROM producer_state s
    WHERE s.topic_number = t.topic_number AND s.partition_index = wanted.partition_index
      AND s.producer_id = wanted.producer_id
    LIMIT 1
) s
UNION ALL
SELECT 4, stream_id, NULL, NULL, seq, NULL, NULL, NULL, NULL, NULL, NULL
FROM pending_slots WHERE stream_id = ANY ($1::uuid[])
UNION ALL
SELECT 5, o.stream_id, NULL, NULL, o.seq, NULL, NULL, NULL, NULL, NULL, o.outcomes
FROM unnest($7::uuid[], $8::int8[]) AS wanted (stream_id, seq)
CROSS JOIN LATERAL (
    SELECT * FROM objects o WHERE o.stream_id = wanted.stream_id AND o.seq = wanted.seq LIMIT 1
) o
