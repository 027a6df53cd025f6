-- Leases of live agents, judged by Postgres's clock alone. A lease names the agent's one open stream: the sweep
-- leaves that stream alone.
CREATE TABLE agents (
    node_id          int4 PRIMARY KEY CHECK (node_id >= 0),
    -- drawn at start: tells this process from another one that wants the same id
    incarnation      uuid NOT NULL,
    stream_id        uuid REFERENCES streams,
    host             text NOT NULL,
    port             int4 NOT NULL,
    -- empty: none
    rack             text NOT NULL,
    -- base URL of its cache sidecar, empty: none
    cache_url        text NOT NULL,
    started_at       timestamptz NOT NULL DEFAULT now(),
    lease_expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
