-- The one id of this cluster. Every footer carries it, so that a bucket used twice by mistake is noticed.
CREATE TABLE cluster (
    singleton  bool PRIMARY KEY DEFAULT true CHECK (singleton),
    cluster_id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO cluster DEFAULT VALUES;
