-- Ended streams not searched yet. When a stream ended is known from its tombstone.
SELECT s.stream_id, s.end_seq
FROM streams s
JOIN objects o ON o.stream_id = s.stream_id AND o.seq = s.end_seq
WHERE s.end_seq IS NOT NULL AND s.searched_at IS NULL
  AND o.committed_at <= now() - make_interval(secs => $1 / 1000.0)
ORDER BY s.stream_id LIMIT $2
