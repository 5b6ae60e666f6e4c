-- What a version of a table looks like, so that the table need not be opened to tell. Not the truth: that is the log.
CREATE TABLE table_descriptions (
    table_id TEXT NOT NULL PRIMARY KEY REFERENCES tables (id),
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    kept_at TEXT NOT NULL
);
