-- One offset served twice, or promised twice.
SELECT topic || '/' || partition || ': offset ' || "offset" || ' was read ' || count(*) || ' times'
FROM read
GROUP BY topic, partition, "offset"
HAVING count(*) > 1
UNION ALL
SELECT topic || '/' || partition || ': offset ' || acked_offset || ' was acked to ' || count(*) || ' records'
FROM sent
WHERE acked_offset IS NOT NULL
GROUP BY topic, partition, acked_offset
HAVING count(*) > 1
