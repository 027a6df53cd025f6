-- The first index row of a partition that may hold a record at or after a time: bisection over the primary key, because
-- max_timestamp_ms never falls from row to row. Rows that end at or before lo are too old; rows from hi on are not.
WITH RECURSIVE bisect (lo, hi) AS (
    SELECT log_start_offset, next_offset FROM partitions WHERE topic_number = $1 AND partition_index = $2
    UNION ALL
    SELECT CASE WHEN middle.max_timestamp_ms >= $3 THEN bisect.lo ELSE middle.next_offset END,
           CASE WHEN middle.max_timestamp_ms >= $3 THEN middle.base_offset ELSE bisect.hi END
    FROM bisect
    CROSS JOIN LATERAL (
        SELECT i.base_offset, i.next_offset, i.max_timestamp_ms FROM log_index i
        WHERE i.topic_number = $1 AND i.partition_index = $2 AND i.base_offset <= (bisect.lo + bisect.hi) / 2
        ORDER BY i.base_offset DESC LIMIT 1
    ) middle
    WHERE bisect.lo < bisect.hi
)
SELECT i.base_offset, i.next_offset, i.byte_start, i.byte_count,
       o.object_id, o.stream_id, o.seq, o.object_key, o.object_bytes
FROM bisect
JOIN log_index i ON i.topic_number = $1 AND i.partition_index = $2 AND i.base_offset = bisect.hi
CROSS JOIN LATERAL (SELECT * FROM objects o WHERE o.object_id = i.object_id LIMIT 1) o
WHERE bisect.lo >= bisect.hi
