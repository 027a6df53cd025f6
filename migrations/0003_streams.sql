-- One incarnation of one agent. The row stands before the stream's first PUT and stays for as long as the cluster
-- lives: a sleeper that wakes after years must still find that its stream has ended.
CREATE TABLE streams (
    stream_id    uuid PRIMARY KEY,
    node_id      int4 NOT NULL,
    -- the gate of the commit: below it done, above it pending
    next_seq     int8 NOT NULL DEFAULT 0 CHECK (next_seq >= 0),
    -- the slot of the tombstone, once committed; slots past it are orphans
    end_seq      int8 CHECK (end_seq = next_seq - 1),
    opened_at    timestamptz NOT NULL DEFAULT now(),
    -- what the last sweep saw and when it first saw it
    swept_seq    int8,
    swept_at     timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
-- the sweep's work is proportional to what is open
CREATE INDEX streams_open ON streams (stream_id) WHERE end_seq IS NULL;

-- Slots whose predecessors were not there yet when their event came; the footer spares a second GET.
CREATE TABLE pending_slots (
    stream_id    uuid NOT NULL REFERENCES streams,
    seq          int8 NOT NULL,
    object_bytes int8 NOT NULL,
    footer       bytea NOT NULL,
    PRIMARY KEY (stream_id, seq)
);
