-- Objects in the order of their numbers, each with the end of its stream.
SELECT o.object_id, o.stream_id, o.seq, o.object_key, o.kind, o.state, o.object_bytes, o.live_rows, o.outcomes, s.end_seq
FROM objects o
LEFT JOIN streams s USING (stream_id)
WHERE o.object_id > $1 AND o.object_id <= $2
ORDER BY o.object_id LIMIT $3
