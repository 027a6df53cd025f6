-- Records slots as orphans, those only that lie past the end of their stream, each once.
INSERT INTO orphans (stream_id, seq)
SELECT found.stream_id, found.seq
FROM unnest($1::uuid[], $2::int8[]) AS found (stream_id, seq)
JOIN streams s ON s.stream_id = found.stream_id AND found.seq > s.end_seq
ON CONFLICT DO NOTHING
