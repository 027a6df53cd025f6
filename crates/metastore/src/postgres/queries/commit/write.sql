-- Statement 2 of 2: write everything the decision says, set-based. The objects come first under their unique key
-- (stream_id, seq): if the gate were ever wrong, the second commit of a slot stops there and takes all else with it.
WITH new_objects AS (
    INSERT INTO objects (stream_id, seq, kind, object_bytes, live_rows, outcomes)
    SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int2[], $4::int8[], $5::int4[], $6::bytea[])
    RETURNING object_id, stream_id, seq
), new_rows AS (
    INSERT INTO log_index (topic_number, partition_index, base_offset, next_offset, object_id, byte_start, byte_count,
                           max_timestamp_ms)
    SELECT r.topic_number, r.partition_index, r.base_offset, r.next_offset, o.object_id, r.byte_start, r.byte_count,
           r.max_timestamp_ms
    FROM unnest($7::uuid[], $8::int8[], $9::int4[], $10::int4[], $11::int8[], $12::int8[], $13::int4[], $14::int4[],
                $15::int8[])
         AS r (stream_id, seq, topic_number, partition_index, base_offset, next_offset, byte_start, byte_count,
               max_timestamp_ms)
    JOIN new_objects o USING (stream_id, seq)
), moved_partitions AS (
    UPDATE partitions p SET next_offset = m.next_offset, max_timestamp_ms = m.max_timestamp_ms,
                            log_bytes = p.log_bytes + m.new_bytes
    FROM unnest($16::int4[], $17::int4[], $18::int8[], $19::int8[], $31::int8[])
         AS m (topic_number, partition_index, next_offset, max_timestamp_ms, new_bytes)
    WHERE p.topic_number = m.topic_number AND p.partition_index = m.partition_index
), producers AS (
    -- five array elements per producer, sliced out of one flat array: Postgres has no arrays of uneven arrays
    INSERT INTO producer_state (topic_number, partition_index, producer_id, producer_epoch, updated_at_ms,
                                base_sequences, record_counts, base_offsets)
    SELECT s.topic_number, s.partition_index, s.producer_id, s.producer_epoch, s.updated_at_ms,
           ($25::int4[])[5 * n - 4 : 5 * n], ($26::int4[])[5 * n - 4 : 5 * n], ($27::int8[])[5 * n - 4 : 5 * n]
    FROM unnest($20::int4[], $21::int4[], $22::int8[], $23::int2[], $24::int8[]) WITH ORDINALITY
         AS s (topic_number, partition_index, producer_id, producer_epoch, updated_at_ms, n)
    ON CONFLICT (topic_number, partition_index, producer_id) DO UPDATE
    SET producer_epoch = excluded.producer_epoch, updated_at_ms = excluded.updated_at_ms,
        base_sequences = excluded.base_sequences, record_counts = excluded.record_counts,
        base_offsets = excluded.base_offsets
), no_longer_pending AS (
    DELETE FROM pending_slots p USING unnest($1::uuid[], $2::int8[]) AS done (stream_id, seq)
    WHERE p.stream_id = done.stream_id AND p.seq = done.seq
)
UPDATE streams s SET next_seq = m.next_seq, end_seq = m.end_seq
FROM unnest($28::uuid[], $29::int8[], $30::int8[]) AS m (stream_id, next_seq, end_seq)
WHERE s.stream_id = m.stream_id
