-- $1 node id, $2 incarnation, $3 stream, $4 host, $5 port, $6 rack, $7 cache URL, $8 TTL in ms, $9 peer address,
-- $10 listeners.
-- Only a lease that has run out, or is our own already, gives way; no row comes back otherwise. The clock is read
-- after any wait for the row: now() stands still at the statement's start.
INSERT INTO agents AS held (node_id, incarnation, stream_id, host, port, rack, cache_url, peer_address, listeners,
                            lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $9, $10, clock_timestamp() + $8 * interval '1 millisecond')
ON CONFLICT (node_id) DO UPDATE
SET incarnation = excluded.incarnation,
    stream_id = excluded.stream_id,
    host = excluded.host,
    port = excluded.port,
    rack = excluded.rack,
    cache_url = excluded.cache_url,
    peer_address = excluded.peer_address,
    listeners = excluded.listeners,
    started_at = now(),
    lease_expires_at = clock_timestamp() + $8 * interval '1 millisecond'
WHERE held.lease_expires_at <= clock_timestamp() OR held.incarnation = excluded.incarnation
RETURNING node_id
