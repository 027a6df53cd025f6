-- How far a stream is, with the outcomes of its committed slots from $2 on, at most $3 of them. One row per slot, or
-- one row without a slot. A snapshot of one statement: a slot below next_seq always has its object row.
SELECT s.next_seq, s.end_seq, o.seq, o.outcomes
FROM streams s
LEFT JOIN LATERAL (
    SELECT seq, outcomes FROM objects
    WHERE stream_id = s.stream_id AND seq >= $2 ORDER BY seq LIMIT $3
) o ON true
WHERE s.stream_id = $1
ORDER BY o.seq
