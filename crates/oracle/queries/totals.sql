SELECT (SELECT count(*) FROM sent),
       (SELECT count(*) FROM sent WHERE state = 'acked'),
       (SELECT count(*) FROM sent WHERE state = 'failed'),
       (SELECT count(*) FROM sent WHERE state = 'acked' AND acked_offset IS NULL),
       (SELECT count(*) FROM read),
       (SELECT count(*) FROM read WHERE producer IS NOT NULL)
       - (SELECT count(*) FROM (SELECT DISTINCT topic, partition, producer, sequence FROM read WHERE producer IS NOT NULL)),
       (SELECT error FROM sent WHERE error IS NOT NULL ORDER BY settled_ms LIMIT 1)
