-- Streams in the order of their ids, each with its last object and with the object in the slot where it ends.
SELECT s.stream_id, s.next_seq, s.end_seq, l.seq AS last_seq, e.kind AS end_kind
FROM streams s
LEFT JOIN objects e ON e.stream_id = s.stream_id AND e.seq = s.end_seq
LEFT JOIN LATERAL (SELECT seq FROM objects WHERE stream_id = s.stream_id ORDER BY seq DESC LIMIT 1) l ON true
WHERE $1::uuid IS NULL OR s.stream_id > $1
ORDER BY s.stream_id LIMIT $2
