-- Slots past their stream's end: nobody's. Each is recorded once, by whoever first meets it; after a grace period the
-- sweep deletes its object and then the row.
CREATE TABLE orphans (
    stream_id uuid NOT NULL REFERENCES streams,
    seq       int8 NOT NULL,
    found_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stream_id, seq)
);
CREATE INDEX orphans_by_age ON orphans (found_at);

-- When an ended stream was searched for orphans that no event told of: one LIST per stream, once.
ALTER TABLE streams ADD COLUMN searched_at timestamptz;
CREATE INDEX streams_unsearched ON streams (stream_id) WHERE end_seq IS NOT NULL AND searched_at IS NULL;

-- Since when a slot waits for the one before it.
ALTER TABLE pending_slots ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();
