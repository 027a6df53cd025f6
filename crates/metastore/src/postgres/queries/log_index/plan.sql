-- For every wanted partition: where its log starts and ends, and the index rows from the one that holds the offset on,
-- until the byte budget is covered, so many at most. Work is proportional to the answer, whatever the lag: one row at or
-- before the offset, then those after it, each by the primary key; and none where the offset is the end of the log, as it
-- mostly is: that condition stands in both branches, so that they are not begun. One statement, so rows and ends agree.
-- LIMIT 1 as in migrations/0013_commit_lock_and_read.sql: the planner thinks that there are thousands of rows, and would read all objects there are.
SELECT wanted.n, p.log_start_offset, p.next_offset AS end_offset,
       r.base_offset, r.next_offset, r.byte_start, r.byte_count,
       o.object_id, o.stream_id, o.seq, o.object_key, o.object_bytes
FROM unnest($1::int4[], $2::int4[], $3::int8[], $4::int8[], $5::int8[])
     WITH ORDINALITY AS wanted (topic_number, partition_index, from_offset, bytes_max, rows_max, n)
CROSS JOIN LATERAL (
    SELECT * FROM partitions p
    WHERE p.topic_number = wanted.topic_number AND p.partition_index = wanted.partition_index
    LIMIT 1
) p
LEFT JOIN LATERAL (
    SELECT near.*, sum(near.byte_count) OVER (ORDER BY near.base_offset) - near.byte_count AS bytes_before
    FROM (
        (SELECT i.base_offset, i.next_offset, i.byte_start, i.byte_count, i.object_id
         FROM log_index i
         WHERE i.topic_number = wanted.topic_number AND i.partition_index = wanted.partition_index
           AND i.base_offset <= wanted.from_offset
           AND wanted.from_offset < p.next_offset AND wanted.from_offset >= p.log_start_offset
         ORDER BY i.base_offset DESC LIMIT 1)
        UNION ALL
        (SELECT i.base_offset, i.next_offset, i.byte_start, i.byte_count, i.object_id
         FROM log_index i
         WHERE i.topic_number = wanted.topic_number AND i.partition_index = wanted.partition_index
           AND i.base_offset > wanted.from_offset
           AND wanted.from_offset < p.next_offset AND wanted.from_offset >= p.log_start_offset
         ORDER BY i.base_offset LIMIT greatest(wanted.rows_max - 1, 0))
    ) near
    WHERE near.next_offset > wanted.from_offset
) r ON r.bytes_before < wanted.bytes_max
LEFT JOIN LATERAL (SELECT * FROM objects o WHERE o.object_id = r.object_id LIMIT 1) o ON true
ORDER BY wanted.n, r.base_offset
