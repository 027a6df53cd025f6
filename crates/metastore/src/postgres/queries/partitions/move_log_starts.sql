-- $3: where each log is to start, null: at its end. A start never moves back, and an offset past the end is left out.
UPDATE partitions p SET log_start_offset = greatest(p.log_start_offset, coalesce(wanted.log_start, p.next_offset))
FROM unnest($1::int4[], $2::int4[], $3::int8[]) AS wanted (topic_number, partition_index, log_start)
WHERE p.topic_number = wanted.topic_number AND p.partition_index = wanted.partition_index
  AND (wanted.log_start IS NULL OR wanted.log_start BETWEEN 0 AND p.next_offset)
RETURNING p.topic_number, p.partition_index, p.log_start_offset
