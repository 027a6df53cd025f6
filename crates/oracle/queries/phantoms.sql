-- There and never sent. A record whose ack never came was sent all the same.
SELECT topic || '/' || partition || ': offset ' || "offset" || ' holds a record that nobody sent there'
FROM read
WHERE NOT EXISTS (SELECT 1 FROM sent WHERE sent.topic = read.topic AND sent.partition = read.partition
                  AND sent.producer = read.producer AND sent.sequence = read.sequence)
