-- $1 node id, $2 incarnation, $3 stream, $4 TTL in ms. Whether the lease is still ours. A lease that had run out makes the
-- sweep forget what it saw of the stream: its agent lives, and the next time it is missed it has its whole grace again.
WITH before AS (
    SELECT lease_expires_at <= clock_timestamp() AS ran_out FROM agents WHERE node_id = $1 AND incarnation = $2
), forgotten AS (
    UPDATE streams SET swept_seq = NULL, swept_at = NULL
    WHERE stream_id = $3 AND swept_at IS NOT NULL AND (SELECT ran_out FROM before)
), renewed AS (
    UPDATE agents SET stream_id = $3, lease_expires_at = clock_timestamp() + $4 * interval '1 millisecond'
    WHERE node_id = $1 AND incarnation = $2
    RETURNING node_id
)
SELECT EXISTS (SELECT FROM renewed)
