-- What is known of given slots: their streams' rows and their objects. One row per slot.
SELECT s.next_seq, s.end_seq, o.kind, o.object_bytes
FROM unnest($1::uuid[], $2::int8[]) WITH ORDINALITY AS wanted (stream_id, seq, n)
LEFT JOIN streams s ON s.stream_id = wanted.stream_id
LEFT JOIN objects o ON o.stream_id = wanted.stream_id AND o.seq = wanted.seq
ORDER BY wanted.n
