-- The index row that holds an offset and those after it, with the partition's ends of the same moment: one row or more
-- per partition that is there. Whether the object says that a batch was appended at the row's base offset is looked up
-- in its outcomes as they are stored: a zero byte and the offset (crates/commit, outcome.rs).
SELECT p.log_start_offset, p.next_offset AS end_offset, r.base_offset, r.next_offset, r.byte_start, r.byte_count,
       r.object_id, o.object_id AS found_id, o.stream_id, o.seq, o.object_key,
       coalesce(o.kind = 2 OR position('\x00'::bytea || int8send(r.base_offset) IN o.outcomes) > 0, false) AS is_backed
FROM partitions p
LEFT JOIN LATERAL (
    SELECT near.* FROM (
        (SELECT i.* FROM log_index i
         WHERE i.topic_number = $1 AND i.partition_index = $2 AND i.base_offset <= coalesce($3, p.log_start_offset)
         ORDER BY i.base_offset DESC LIMIT 1)
        UNION ALL
        (SELECT i.* FROM log_index i
         WHERE i.topic_number = $1 AND i.partition_index = $2 AND i.base_offset > coalesce($3, p.log_start_offset)
         ORDER BY i.base_offset LIMIT $4)
    ) near
    WHERE near.next_offset > coalesce($3, p.log_start_offset)
) r ON true
LEFT JOIN objects o ON o.object_id = r.object_id
WHERE p.topic_number = $1 AND p.partition_index = $2
ORDER BY r.base_offset
