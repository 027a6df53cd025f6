-- Acked and not there.
SELECT topic || '/' || partition || ': record ' || sequence || ' of producer ' || producer || ' was acked'
       || coalesce(' at offset ' || acked_offset, '') || ' and is not there'
FROM sent
WHERE state = 'acked'
  AND NOT EXISTS (SELECT 1 FROM read WHERE read.topic = sent.topic AND read.partition = sent.partition
                  AND read.producer = sent.producer AND read.sequence = sent.sequence)
