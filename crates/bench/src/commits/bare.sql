-- All rows that the commit of one slot writes, in one statement that commits by itself: there is no quicker way to write them.
-- $1 stream, $2 seq, $3 object bytes, $4 outcomes, $5 topic, $6 producer, $7 records and $8 bytes of a batch; $9 partitions, $10 their
-- offsets, $11 their producer's sequences.
WITH batches AS MATERIALIZED (
    SELECT b.*, (b.n - 1)::int4 * $8::int4 AS byte_start
    FROM unnest($9::int4[], $10::int8[], $11::int4[]) WITH ORDINALITY AS b (partition_index, base_offset, sequence, n)
), new_object AS (
    INSERT INTO objects (stream_id, seq, kind, object_bytes, live_rows, outcomes)
    SELECT $1::uuid, $2::int8, 0, $3::int8, cardinality($9::int4[]), $4::bytea
    RETURNING object_id
), new_rows AS (
    INSERT INTO log_index (topic_number, partition_index, base_offset, next_offset, object_id, byte_start, byte_count,
                           max_timestamp_ms)
    SELECT $5::int4, b.partition_index, b.base_offset, b.base_offset + $7::int4, o.object_id, b.byte_start, $8::int4, 0
    FROM batches b, new_object o
), moved_partitions AS (
    UPDATE partitions p SET next_offset = b.base_offset + $7::int4, max_timestamp_ms = 0, log_bytes = p.log_bytes + $8::int4
    FROM batches b
    WHERE p.topic_number = $5::int4 AND p.partition_index = b.partition_index
), producers AS (
    INSERT INTO producer_state (topic_number, partition_index, producer_id, producer_epoch, updated_at_ms,
                                base_sequences, record_counts, base_offsets)
    SELECT $5::int4, b.partition_index, $6::int8, 0, 0, array_fill(b.sequence, ARRAY[5]), array_fill($7::int4, ARRAY[5]),
           array_fill(b.base_offset, ARRAY[5])
    FROM batches b
    ON CONFLICT (topic_number, partition_index, producer_id) DO UPDATE
    SET producer_epoch = excluded.producer_epoch, updated_at_ms = excluded.updated_at_ms,
        base_sequences = excluded.base_sequences, record_counts = excluded.record_counts,
        base_offsets = excluded.base_offsets
)
UPDATE streams SET next_seq = $2::int8 + 1 WHERE stream_id = $1::uuid
