-- One row per consumer group. Whoever coordinates a group has taken it: a take gives the row a new coordinator epoch,
-- and everything that changes the group, or commits its offsets, compares that epoch. Epochs come from one sequence and
-- are never used twice, so one of a group that was deleted does not fit another group of its name.
CREATE SEQUENCE coordinator_epochs AS int8;

CREATE TABLE consumer_groups (
    group_id          text COLLATE "C" PRIMARY KEY,
    coordinator_epoch int8 NOT NULL DEFAULT nextval('coordinator_epochs'),
    -- node id of the agent that took it last: a hint for whoever looks for groups left behind
    coordinator_node  int4 NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('classic', 'consumer')),
    -- the classic generation, or the group epoch of KIP-848
    generation        int4 NOT NULL,
    -- what ListGroups says of it
    state             text NOT NULL,
    -- empty: none, such as of a group that only commits offsets
    protocol_type     text NOT NULL,
    member_count      int4 NOT NULL,
    -- members and assignments; its format names its version. Null: a group without any history
    content           bytea,
    -- since when it has no members; null: it has some
    empty_since       timestamptz DEFAULT now(),
    CHECK ((member_count = 0) = (empty_since IS NOT NULL))
) WITH (fillfactor = 50);

-- Groups whose offsets were committed before there were rows of groups.
INSERT INTO consumer_groups (group_id, coordinator_node, kind, generation, state, protocol_type, member_count)
SELECT DISTINCT group_id, -1, 'classic', 0, 'Empty', '', 0 FROM group_offsets;

-- Where other agents reach this one, as host:port; empty: at what it advertises.
ALTER TABLE agents ADD COLUMN peer_address text NOT NULL DEFAULT '';
