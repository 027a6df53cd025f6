-- Which bytes of which object hold which offsets. One row for all batches of a partition that lie side by side in
-- an object. Hash-partitioned from the start: at 100 million rows a day a single table could not be split later.
CREATE TABLE log_index (
    topic_number     int4 NOT NULL,
    partition_index  int4 NOT NULL,
    base_offset      int8 NOT NULL,
    next_offset      int8 NOT NULL,
    object_id        int8 NOT NULL,
    byte_start       int4 NOT NULL,
    byte_count       int4 NOT NULL,
    -- Largest timestamp of this and all earlier rows of the partition: it never falls from row to row, so the first
    -- row that holds a record at or after a time is found by bisection over the primary key, without a second index.
    max_timestamp_ms int8 NOT NULL,
    PRIMARY KEY (topic_number, partition_index, base_offset)
) PARTITION BY HASH (topic_number, partition_index);

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE log_index_%s PARTITION OF log_index FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            lpad(i::text, 2, '0'), i);
    END LOOP;
END $$;
