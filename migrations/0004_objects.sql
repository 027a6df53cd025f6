CREATE TABLE objects (
    object_id    int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- the slot, from which the key follows; null for merged objects, which have a key of their own
    stream_id    uuid REFERENCES streams,
    seq          int8,
    object_key   text COLLATE "C",
    -- 0 data, 1 tombstone, 2 merged
    kind         int2 NOT NULL,
    -- 0 live, 1 to be deleted
    state        int2 NOT NULL DEFAULT 0,
    object_bytes int8 NOT NULL,
    -- index rows that refer to it
    live_rows    int4 NOT NULL,
    -- what became of every batch, in the order of the footer (crates/commit, outcome.rs)
    outcomes     bytea NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    -- Stands behind the stream's gate: a slot commits once even if the gate were wrong.
    UNIQUE (stream_id, seq),
    CHECK ((stream_id IS NULL) = (object_key IS NOT NULL) AND (stream_id IS NULL) = (seq IS NULL))
);
