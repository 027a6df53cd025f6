-- From 0 on, every offset follows the one before it. A repeated one is another invariant's business.
SELECT topic || '/' || partition || ': offset ' || "offset" || ' follows '
       || coalesce('offset ' || before, 'the beginning')
FROM (SELECT topic, partition, "offset",
             lag("offset") OVER (PARTITION BY topic, partition ORDER BY "offset") AS before
      FROM read)
WHERE "offset" > coalesce(before, -1) + 1
