-- $1 our incarnation. The lowest node id that no live lease of another agent holds: n leases leave one of 0..n free.
SELECT min(candidate.node_id)
FROM generate_series(0, (SELECT count(*)::int4 FROM agents)) AS candidate (node_id)
WHERE NOT EXISTS (
    SELECT FROM agents
    WHERE agents.node_id = candidate.node_id
      AND agents.incarnation <> $1
      AND agents.lease_expires_at > clock_timestamp()
)
