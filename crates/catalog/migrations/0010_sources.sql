-- Places that data is pulled from.
CREATE TABLE sources (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    definition TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    next_run_at TEXT
);

CREATE INDEX sources_due ON sources (next_run_at) WHERE next_run_at IS NOT NULL;

-- Their runs: of each source one at a time, by the server whose place is named.
CREATE TABLE source_runs (
    id TEXT NOT NULL PRIMARY KEY,
    source_id TEXT NOT NULL REFERENCES sources (id),
    node BIGINT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('request', 'schedule')),
    idempotency_key TEXT,
    state TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'failed')),
    started_at TEXT NOT NULL,
    finished_at TEXT,
    watermark_before TEXT,
    watermark_after TEXT,
    counts TEXT,
    failure TEXT
);

CREATE UNIQUE INDEX source_runs_running ON source_runs (source_id) WHERE state = 'running';
CREATE UNIQUE INDEX source_runs_key ON source_runs (source_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX source_runs_source ON source_runs (source_id, id);

-- What was seen: each content of each position becomes one upload, or one again after that failed.
CREATE TABLE source_pulls (
    source_id TEXT NOT NULL REFERENCES sources (id),
    position TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    run_id TEXT NOT NULL,
    upload_id TEXT REFERENCES uploads (id),
    pages BIGINT NOT NULL,
    watermark TEXT,
    failure TEXT,
    entered_at TEXT NOT NULL,
    PRIMARY KEY (source_id, position, fingerprint)
);

CREATE INDEX source_pulls_run ON source_pulls (run_id, position, fingerprint);
CREATE INDEX source_pulls_watermark ON source_pulls (source_id, run_id) WHERE watermark IS NOT NULL;
CREATE INDEX source_pulls_upload ON source_pulls (source_id, upload_id) WHERE upload_id IS NOT NULL;
