-- What a commit does before it decides, in one round trip: lock, then read what the locks guard (queries/commit/lock_and_read.sql calls it).
--
-- Each statement of a volatile function sees what was committed before it began, under READ COMMITTED: the last one, which waits for
-- nothing, sees all that those wrote for whose locks the first two waited. As a single statement it would see other tables as of the time
-- before it waited. A locking clause returns its row as it is once the lock is held, so streams and partitions are told by the
-- statements that lock them. Order of locks: stream rows, then partition rows, each sorted. NO KEY: foreign keys may still be checked.
--
-- Rows of six shapes share wide columns; `shape` tells which: 0 the clock, 1 a stream, 2 a partition, 3 a producer's state, 4 a pending
-- slot, 5 the outcomes of a slot that an earlier commit has.
--
-- LIMIT 1 in a lateral sub-select keeps each row's look-up by its whole primary key. Left to itself the planner, which thinks that an
-- array has ten elements, reads all partitions there are, and of each of those named all producers there ever were.
CREATE FUNCTION commit_lock_and_read(
    in_streams uuid[],
    in_topics uuid[], in_partitions int4[],
    in_producer_topics uuid[], in_producer_partitions int4[], in_producers int8[],
    in_slot_streams uuid[], in_slot_seqs int8[]
) RETURNS TABLE (
    shape int4, id uuid, topic_number int4, partition_index int4, a int8, b int8, c int8,
    base_sequences int4[], record_counts int4[], base_offsets int8[], bytes bytea
) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT 1, stream_id, NULL::int4, NULL::int4, next_seq, end_seq, NULL::int8, NULL::int4[], NULL::int4[], NULL::int8[], NULL::bytea
    FROM streams WHERE stream_id = ANY (in_streams)
    ORDER BY stream_id
    FOR NO KEY UPDATE;

    RETURN QUERY
    SELECT 2, sorted.topic_id, sorted.topic_number, sorted.partition_index, locked.next_offset, locked.max_timestamp_ms,
           NULL::int8, NULL::int4[], NULL::int4[], NULL::int8[], NULL::bytea
    FROM (
        SELECT t.topic_id, t.topic_number, named.partition_index
        FROM unnest(in_topics, in_partitions) AS named (topic_id, partition_index)
        JOIN topics t USING (topic_id)
        ORDER BY t.topic_number, named.partition_index
    ) sorted
    CROSS JOIN LATERAL (
        SELECT p.next_offset, p.max_timestamp_ms FROM partitions p
        WHERE p.topic_number = sorted.topic_number AND p.partition_index = sorted.partition_index
        LIMIT 1
        FOR NO KEY UPDATE
    ) locked;

    RETURN QUERY
    SELECT 0, NULL::uuid, NULL::int4, NULL::int4, (extract(epoch FROM clock_timestamp()) * 1000)::int8, NULL::int8, NULL::int8,
           NULL::int4[], NULL::int4[], NULL::int8[], NULL::bytea
    UNION ALL
    SELECT 3, NULL, s.topic_number, s.partition_index, s.producer_id, s.producer_epoch, s.updated_at_ms,
           s.base_sequences, s.record_counts, s.base_offsets, NULL
    FROM unnest(in_producer_topics, in_producer_partitions, in_producers) AS wanted (topic_id, partition_index, producer_id)
    JOIN topics t USING (topic_id)
    CROSS JOIN LATERAL (
        SELECT * FROM producer_state s
        WHERE s.topic_number = t.topic_number AND s.partition_index = wanted.partition_index AND s.producer_id = wanted.producer_id
        LIMIT 1
    ) s
    UNION ALL
    SELECT 4, stream_id, NULL, NULL, seq, NULL, NULL, NULL, NULL, NULL, NULL
    FROM pending_slots WHERE stream_id = ANY (in_streams)
    UNION ALL
    SELECT 5, o.stream_id, NULL, NULL, o.seq, NULL, NULL, NULL, NULL, NULL, o.outcomes
    FROM unnest(in_slot_streams, in_slot_seqs) AS wanted (stream_id, seq)
    CROSS JOIN LATERAL (
        SELECT * FROM objects o WHERE o.stream_id = wanted.stream_id AND o.seq = wanted.seq LIMIT 1
    ) o;
END
$$;
