-- The bytes are those that were sent, and the record lies where its ack said.
SELECT topic || '/' || partition || ': offset ' || "offset" || ' holds record ' || sequence || ' of producer '
       || producer || ', damaged'
FROM read JOIN sent USING (topic, partition, producer, sequence)
WHERE read.checksum IS NOT sent.checksum
UNION ALL
SELECT topic || '/' || partition || ': record ' || sequence || ' of producer ' || producer
       || ' was acked at offset ' || acked_offset || ' and lies at ' || min("offset")
FROM read JOIN sent USING (topic, partition, producer, sequence)
WHERE acked_offset IS NOT NULL
GROUP BY topic, partition, producer, sequence
HAVING NOT max(acked_offset = "offset")
