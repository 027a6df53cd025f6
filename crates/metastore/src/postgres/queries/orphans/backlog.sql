-- What waits: slots for one before them, orphans to be deleted, and records for consumer groups. What lies below the start of a log
-- can no longer be read, and is nobody's lag.
SELECT count(kept_at) AS pending,
       coalesce(extract(epoch FROM now() - min(kept_at)) * 1000, 0)::int8 AS oldest_ms,
       (SELECT count(*) FROM orphans) AS orphans,
       max(lag.furthest) AS lag_max,
       max(lag.together) AS lag_sum
FROM (
    SELECT coalesce(max(records), 0)::int8 AS furthest, coalesce(sum(records), 0)::int8 AS together
    FROM (
        SELECT sum(greatest(p.next_offset - greatest(o.committed_offset, p.log_start_offset), 0)) AS records
        FROM group_offsets o
        JOIN partitions p USING (topic_number, partition_index)
        GROUP BY o.group_id
    ) behind
) lag
LEFT JOIN pending_slots ON true
