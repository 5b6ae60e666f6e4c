-- The lake's name for itself, part of the names under which its servers commit.
CREATE TABLE lakes (
    id TEXT NOT NULL PRIMARY KEY
);

-- The server that works on an upload, and the name under which its commit is tried.
ALTER TABLE uploads ADD COLUMN node BIGINT NOT NULL DEFAULT 0;
ALTER TABLE uploads ADD COLUMN writer TEXT;

-- What the tables' folders should hold: data files before a commit names them, log entries after their commit.
CREATE TABLE data_files (
    table_id TEXT NOT NULL REFERENCES tables (id),
    path TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    row_count BIGINT NOT NULL,
    upload_id TEXT,
    PRIMARY KEY (table_id, path)
);

CREATE TABLE log_entries (
    table_id TEXT NOT NULL REFERENCES tables (id),
    version BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (table_id, version)
);
