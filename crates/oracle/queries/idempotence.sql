-- One record at two offsets.
SELECT topic || '/' || partition || ': record ' || sequence || ' of producer ' || producer || ' lies at '
       || count(DISTINCT "offset") || ' offsets, first at ' || min("offset")
FROM read JOIN sent USING (topic, partition, producer, sequence)
GROUP BY topic, partition, producer, sequence
HAVING count(DISTINCT "offset") > 1
