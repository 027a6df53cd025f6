-- The index rows that begin at given offsets. A partition that is gone gives no row, an index row that is gone nulls.
SELECT wanted.n, t.name, p.log_start_offset, i.next_offset, i.object_id, i.byte_start, i.byte_count
FROM unnest($1::uuid[], $2::int4[], $3::int8[])
     WITH ORDINALITY AS wanted (topic_id, partition_index, base_offset, n)
JOIN topics t USING (topic_id)
JOIN partitions p ON p.topic_number = t.topic_number AND p.partition_index = wanted.partition_index
LEFT JOIN log_index i ON i.topic_number = t.topic_number AND i.partition_index = wanted.partition_index
                     AND i.base_offset = wanted.base_offset
ORDER BY wanted.n
