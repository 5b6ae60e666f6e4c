-- SQLite and PostgreSQL take this text alike. Ids, instants (RFC 3339, UTC, nine decimals) and JSON are TEXT, so that
-- both order and compare them byte by byte (a PostgreSQL database needs the collation "C").

CREATE TABLE namespaces (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE tables (
    id TEXT NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL REFERENCES namespaces (name),
    name TEXT NOT NULL,
    zone TEXT NOT NULL,
    path TEXT NOT NULL UNIQUE,
    format TEXT NOT NULL,
    partition_by TEXT NOT NULL,
    description TEXT,
    owner TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'active', 'deleted')),
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT,
    last_sequence BIGINT NOT NULL DEFAULT 0
);

-- A deleted table keeps its row and gives its name free.
CREATE UNIQUE INDEX tables_live_name ON tables (name) WHERE state <> 'deleted';
CREATE INDEX tables_name ON tables (name, deleted_at);
CREATE INDEX tables_namespace ON tables (namespace, name);

CREATE TABLE schema_versions (
    table_id TEXT NOT NULL REFERENCES tables (id),
    number BIGINT NOT NULL,
    table_version BIGINT NOT NULL,
    schema_json TEXT NOT NULL,
    upload_id TEXT,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (table_id, number),
    UNIQUE (table_id, table_version)
);

CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    table_name TEXT NOT NULL,
    table_id TEXT REFERENCES tables (id),
    principal TEXT NOT NULL,
    key_scope TEXT,
    idempotency_key TEXT,
    file_name TEXT,
    read_options TEXT NOT NULL,
    raw_path TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    landed_at TEXT NOT NULL,
    started_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('landed', 'committing', 'committed', 'failed')),
    sequence BIGINT,
    version BIGINT,
    row_counts TEXT,
    committed_at TEXT,
    failure TEXT,
    UNIQUE (table_id, sequence)
);

CREATE UNIQUE INDEX uploads_key ON uploads (key_scope, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX uploads_table ON uploads (table_name, id);
CREATE INDEX uploads_unfinished ON uploads (id) WHERE state IN ('landed', 'committing');
