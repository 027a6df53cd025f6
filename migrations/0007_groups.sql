-- Offsets committed by consumers. A row of a deleted topic is never shown: topic numbers are not used twice.
CREATE TABLE group_offsets (
    group_id         text COLLATE "C" NOT NULL,
    topic_number     int4 NOT NULL,
    partition_index  int4 NOT NULL,
    committed_offset int8 NOT NULL,
    -- -1: none given
    leader_epoch     int4 NOT NULL,
    -- opaque text of the client's, as bytes: Postgres's text takes no NUL
    metadata         bytea NOT NULL,
    committed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, topic_number, partition_index)
) WITH (fillfactor = 70);
