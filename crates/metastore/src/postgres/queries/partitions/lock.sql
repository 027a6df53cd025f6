-- In the commit's order. What the locks guard is read by the next statement.
SELECT p.topic_number, p.partition_index
FROM partitions p
WHERE (p.topic_number, p.partition_index) IN (SELECT * FROM unnest($1::int4[], $2::int4[]))
ORDER BY p.topic_number, p.partition_index
FOR NO KEY UPDATE
