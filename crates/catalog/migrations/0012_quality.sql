-- The suite of a table. One without a row is held to nothing.
CREATE TABLE quality_suites (
    table_id TEXT NOT NULL PRIMARY KEY REFERENCES tables (id),
    suite TEXT NOT NULL,
    principal TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- What came of asking it: of an upload, whose id the result has and whose version the ledger tells, or of a version.
CREATE TABLE quality_results (
    id TEXT NOT NULL PRIMARY KEY,
    table_id TEXT NOT NULL REFERENCES tables (id),
    upload_id TEXT,
    version BIGINT,
    publishable BIGINT NOT NULL,
    checked_at TEXT NOT NULL,
    validation TEXT NOT NULL
);

CREATE INDEX quality_results_table ON quality_results (table_id, id);
CREATE INDEX quality_results_against ON quality_results (table_id, publishable, id);
