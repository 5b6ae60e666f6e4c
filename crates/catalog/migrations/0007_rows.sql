-- The streams of rows that tell how far they are by offsets. How far one is, the table's log says.
CREATE TABLE channels (
    id TEXT NOT NULL PRIMARY KEY,
    table_name TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    principal TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    UNIQUE (table_name, name)
);

-- The requests whose rows an upload gathers, as far as they may be asked for again: by their key, or by their channel.
CREATE TABLE row_requests (
    upload_id TEXT NOT NULL REFERENCES uploads (id),
    number BIGINT NOT NULL,
    key_scope TEXT,
    idempotency_key TEXT,
    body_sha256 TEXT NOT NULL,
    channel_id TEXT,
    channel_offset BIGINT,
    row_count BIGINT NOT NULL,
    entered_at TEXT NOT NULL,
    PRIMARY KEY (upload_id, number)
);

CREATE UNIQUE INDEX row_requests_key ON row_requests (key_scope, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX row_requests_channel ON row_requests (channel_id) WHERE channel_id IS NOT NULL;
CREATE INDEX row_requests_age ON row_requests (entered_at);
