-- A record that was sent after the ack of another lies behind it; of those that were under way together, none is first. The
-- ledger's times never put an ack before a later intent: both take one way into it, and what shares a moment is not compared.
SELECT topic || '/' || partition || ': record ' || sequence || ' of producer ' || producer || ' at offset '
       || "offset" || ' was sent after the one at ' || acked_before || ' was acked'
FROM (SELECT topic, partition, producer, sequence, "offset", acked,
             max(acked) OVER (PARTITION BY topic, partition, producer ORDER BY at_ms, acked IS NOT NULL
                              ROWS UNBOUNDED PRECEDING) AS acked_before
      FROM (WITH first AS MATERIALIZED
              (SELECT topic, partition, producer, sequence, sent_ms, settled_ms, min(read."offset") AS "offset"
               FROM read JOIN sent USING (topic, partition, producer, sequence)
               WHERE sent.state = 'acked'
               GROUP BY topic, partition, producer, sequence)
            SELECT topic, partition, producer, sequence, "offset", sent_ms AS at_ms, NULL AS acked FROM first
            UNION ALL
            SELECT topic, partition, producer, sequence, "offset", settled_ms, "offset" FROM first))
WHERE acked IS NULL AND "offset" < acked_before
