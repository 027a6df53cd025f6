-- Ids of idempotent producers, with the time they were handed out.
CREATE TABLE producer_ids (
    producer_id   int8 GENERATED ALWAYS AS IDENTITY (START WITH 1) PRIMARY KEY,
    handed_out_at timestamptz NOT NULL DEFAULT now()
);

-- What a partition remembers of a producer: its epoch and its last five batches, oldest first, as arrays of exactly
-- five (record count 0: no batch). A row past the expiry stays as the proof that the partition once knew the id.
CREATE TABLE producer_state (
    topic_number    int4 NOT NULL,
    partition_index int4 NOT NULL,
    producer_id     int8 NOT NULL,
    producer_epoch  int2 NOT NULL,
    updated_at_ms   int8 NOT NULL,
    base_sequences  int4[] NOT NULL,
    record_counts   int4[] NOT NULL,
    base_offsets    int8[] NOT NULL,
    PRIMARY KEY (topic_number, partition_index, producer_id)
) PARTITION BY HASH (topic_number, partition_index);

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE producer_state_%s PARTITION OF producer_state FOR VALUES WITH (MODULUS 16, REMAINDER %s)'
            ' WITH (fillfactor = 50)',
            lpad(i::text, 2, '0'), i);
    END LOOP;
END $$;
