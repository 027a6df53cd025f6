-- Bytes in S3 that a partition's index rows name, counted by the commit that writes the rows: at 100 million rows a day a
-- sum over them would be a scan that nobody could afford to ask for. A version of yaks that does not know the column does
-- not count; what it commits between this migration and its end stays uncounted, which nothing but a display notices.
ALTER TABLE partitions ADD COLUMN log_bytes int8 NOT NULL DEFAULT 0;

-- Once, over all rows there are. Commits wait meanwhile: the column's lock is held until the count is right.
UPDATE partitions p SET log_bytes = counted.bytes
FROM (
    SELECT topic_number, partition_index, sum(byte_count)::int8 AS bytes FROM log_index GROUP BY topic_number, partition_index
) counted
WHERE p.topic_number = counted.topic_number AND p.partition_index = counted.partition_index;
