-- What a producer sent later lies later. Only acked records are promised an order, and of a record that is there
-- twice the first copy counts.
SELECT topic || '/' || partition || ': record ' || sequence || ' of producer ' || producer || ' at offset '
       || "offset" || ' lies behind its record ' || before
FROM (SELECT topic, partition, producer, sequence, "offset",
             lag(sequence) OVER (PARTITION BY topic, partition, producer ORDER BY "offset") AS before
      FROM (SELECT read.topic, read.partition, read.producer, read.sequence, min(read."offset") AS "offset"
            FROM read JOIN sent USING (topic, partition, producer, sequence)
            WHERE sent.state = 'acked'
            GROUP BY read.topic, read.partition, read.producer, read.sequence))
WHERE sequence < before
