-- The addresses an agent advertises, one per listener, as NAME://host:port; its host and port are those of the first. Empty for
-- an agent of a version that knows of one address only.
ALTER TABLE agents ADD COLUMN listeners text[] NOT NULL DEFAULT '{}';
