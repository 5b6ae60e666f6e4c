-- Pipelines that make curated tables of others. No two fill the same table.
CREATE TABLE pipelines (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    target TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    last_sequence BIGINT NOT NULL,
    seen TEXT NOT NULL,
    is_watching BIGINT NOT NULL,
    next_run_at TEXT
);

CREATE INDEX pipelines_due ON pipelines (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX pipelines_watching ON pipelines (name) WHERE is_watching = 1;

-- Their runs: of each pipeline one at a time, by the server whose place is named. They outlive their pipelines.
CREATE TABLE curated_runs (
    id TEXT NOT NULL PRIMARY KEY,
    pipeline_id TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    table_name TEXT NOT NULL,
    table_id TEXT,
    definition TEXT NOT NULL,
    principal TEXT NOT NULL,
    cause TEXT NOT NULL CHECK (cause IN ('request', 'schedule', 'new_data')),
    idempotency_key TEXT,
    node BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED', 'WARNING', 'CANCELLED')),
    started_at TEXT NOT NULL,
    ended_at TEXT,
    attempts BIGINT NOT NULL,
    prepared TEXT,
    figures TEXT,
    failure TEXT,
    cancel_asked BIGINT NOT NULL
);

CREATE UNIQUE INDEX curated_runs_running ON curated_runs (pipeline_id) WHERE status = 'RUNNING';
CREATE UNIQUE INDEX curated_runs_key ON curated_runs (pipeline_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX curated_runs_of ON curated_runs (pipeline_id, id);
CREATE INDEX curated_runs_pipeline ON curated_runs (pipeline, id);
CREATE INDEX curated_runs_table ON curated_runs (table_id, ended_at) WHERE table_id IS NOT NULL;
CREATE INDEX curated_runs_ended ON curated_runs (ended_at) WHERE ended_at IS NOT NULL;

-- The run of a pipeline that brought a schema about.
ALTER TABLE schema_versions ADD COLUMN run_id TEXT;
