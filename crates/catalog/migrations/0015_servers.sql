-- The places of the servers that share a PostgreSQL catalog, and until when each is held (milliseconds, the database's
-- clock). Servers that share a SQLite file hold locks on files instead.
CREATE TABLE servers (
    node BIGINT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
