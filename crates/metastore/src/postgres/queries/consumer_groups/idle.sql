-- $1 ms. Groups that have had no members for that long, locked. Those that somebody is working on can wait for the next
-- time: no order matters here.
SELECT group_id FROM consumer_groups
WHERE empty_since < now() - $1 * interval '1 millisecond'
ORDER BY group_id
FOR UPDATE SKIP LOCKED
