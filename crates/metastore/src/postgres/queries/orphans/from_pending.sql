-- Moves what is pending past the end of its stream: nothing can be kept there any more once the end stands in the row.
WITH past AS (
    DELETE FROM pending_slots p USING streams s
    WHERE s.stream_id = p.stream_id AND p.seq > s.end_seq
    RETURNING p.stream_id, p.seq
)
INSERT INTO orphans (stream_id, seq) SELECT stream_id, seq FROM past ON CONFLICT DO NOTHING
