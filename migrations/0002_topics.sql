-- Topics are named by their id on the wire and in objects, and by a short number in every other table, so that
-- the hundred million index rows of a day carry 4 bytes of topic, not 16. A number is never used twice: rows of a
-- deleted topic can be left behind without ever being taken for those of a new topic of the same name.
CREATE TABLE topics (
    topic_number    int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic_id        uuid NOT NULL UNIQUE,
    name            text COLLATE "C" NOT NULL,
    partition_count int4 NOT NULL CHECK (partition_count > 0),
    settings        jsonb NOT NULL DEFAULT '{}',
    created_at_ms   int8 NOT NULL,
    deleted_at_ms   int8
);
CREATE UNIQUE INDEX topics_live_name ON topics (name) WHERE deleted_at_ms IS NULL;
-- Kafka refuses a name that differs from a live one in '.' and '_' only: metrics could not tell them apart.
CREATE UNIQUE INDEX topics_live_metric_name ON topics (translate(name, '.', '_')) WHERE deleted_at_ms IS NULL;

-- The rows the commit locks. Deleting a topic deletes them; a batch whose partition row is gone gets the outcome
-- "topic deleted". Updated by every commit: room for HOT updates, and vacuumed early.
CREATE TABLE partitions (
    topic_number     int4 NOT NULL REFERENCES topics,
    partition_index  int4 NOT NULL CHECK (partition_index >= 0),
    log_start_offset int8 NOT NULL DEFAULT 0,
    next_offset      int8 NOT NULL DEFAULT 0 CHECK (next_offset >= log_start_offset),
    -- largest record timestamp so far, -1 before the first record
    max_timestamp_ms int8 NOT NULL DEFAULT -1,
    PRIMARY KEY (topic_number, partition_index)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
