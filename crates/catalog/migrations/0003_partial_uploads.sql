-- Uploads whose bytes come in over several requests, or straight to the store: until they land.
CREATE TABLE partial_uploads (
    id TEXT NOT NULL PRIMARY KEY,
    delivery TEXT NOT NULL CHECK (delivery IN ('resumable', 'presigned')),
    table_name TEXT NOT NULL,
    principal TEXT NOT NULL,
    file_name TEXT,
    note TEXT,
    read_options TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    offset_bytes BIGINT NOT NULL,
    sha256 TEXT,
    started_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

CREATE INDEX partial_uploads_expiry ON partial_uploads (expires_at);
