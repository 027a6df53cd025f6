-- $1 names, $2 partition counts, $3 settings (JSON text): one element per topic.
-- Names in order, so that two callers with the same names wait for each other one way round only. A name that is
-- taken, or differs from a live one in '.' and '_' only, is left out of the answer: both unique indexes may object,
-- and a caller that raced with another one finds the winner's row by asking again.
WITH wanted AS (
    SELECT name, partition_count, settings
    FROM unnest($1::text[], $2::int4[], $3::text[]) AS t (name, partition_count, settings)
), created AS (
    INSERT INTO topics (topic_id, name, partition_count, settings, created_at_ms)
    SELECT gen_random_uuid(), name, partition_count, settings::jsonb, (extract(epoch FROM now()) * 1000)::int8
    FROM wanted
    ORDER BY name COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING topic_number, topic_id, name, partition_count, settings
), its_partitions AS (
    INSERT INTO partitions (topic_number, partition_index)
    SELECT topic_number, partition_index
    FROM created, generate_series(0, partition_count - 1) AS partition_index
)
SELECT topic_number, topic_id, name, partition_count, settings::text FROM created
