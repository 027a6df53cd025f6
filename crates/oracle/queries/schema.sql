-- What was sent: the intent is written before the record goes out, its fate after.
CREATE TABLE sent (
    topic      TEXT    NOT NULL,
    partition  INTEGER NOT NULL,
    producer   INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    sent_ms    INTEGER NOT NULL,                     -- since the run began
    state      TEXT    NOT NULL DEFAULT 'sent',      -- sent, acked, failed
    settled_ms INTEGER,
    acked_offset INTEGER,                            -- null when the ack did not know it
    error      TEXT,
    PRIMARY KEY (topic, partition, producer, sequence)
) WITHOUT ROWID;

-- What was read, in the order it was read in.
CREATE TABLE read (
    id        INTEGER PRIMARY KEY,
    topic     TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    "offset"  INTEGER NOT NULL,
    producer  INTEGER,                               -- null when nobody of this run sent it here
    sequence  INTEGER,
    checksum  INTEGER                                -- null when it is not intact
);

CREATE INDEX read_by_record ON read (topic, partition, producer, sequence, "offset");
CREATE INDEX read_by_offset ON read (topic, partition, "offset");
