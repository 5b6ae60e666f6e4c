-- Quarantined rows that were sent again: each by one upload at a time, and never again once that is committed.
CREATE TABLE replayed_rows (
    source_upload_id TEXT NOT NULL,
    row_number BIGINT NOT NULL,
    upload_id TEXT NOT NULL REFERENCES uploads (id),
    removed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (source_upload_id, row_number)
);

CREATE INDEX replayed_rows_upload ON replayed_rows (upload_id);
CREATE INDEX replayed_rows_unremoved ON replayed_rows (upload_id) WHERE removed = 0;
