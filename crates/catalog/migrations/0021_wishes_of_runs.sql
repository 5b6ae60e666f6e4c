-- What was asked of the run of a pipeline, beyond what the pipeline says. Why a run began has one more word, and the
-- words are held by who writes them.
CREATE TABLE curated_runs_next (
    id TEXT NOT NULL PRIMARY KEY,
    pipeline_id TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    table_name TEXT NOT NULL,
    table_id TEXT,
    definition TEXT NOT NULL,
    principal TEXT NOT NULL,
    cause TEXT NOT NULL,
    wish TEXT NOT NULL,
    interval_end TEXT,
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

INSERT INTO curated_runs_next (id, pipeline_id, pipeline, table_name, table_id, definition, principal, cause, wish,
    idempotency_key, node, sequence, status, started_at, ended_at, attempts, prepared, figures, failure, cancel_asked)
SELECT id, pipeline_id, pipeline, table_name, table_id, definition, principal, cause, '{}',
    idempotency_key, node, sequence, status, started_at, ended_at, attempts, prepared, figures, failure, cancel_asked
FROM curated_runs;

DROP TABLE curated_runs;
ALTER TABLE curated_runs_next RENAME TO curated_runs;

CREATE UNIQUE INDEX curated_runs_running ON curated_runs (pipeline_id) WHERE status = 'RUNNING';
CREATE UNIQUE INDEX curated_runs_key ON curated_runs (pipeline_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX curated_runs_of ON curated_runs (pipeline_id, id);
CREATE INDEX curated_runs_pipeline ON curated_runs (pipeline, id);
CREATE INDEX curated_runs_table ON curated_runs (table_id, ended_at) WHERE table_id IS NOT NULL;
CREATE INDEX curated_runs_ended ON curated_runs (ended_at) WHERE ended_at IS NOT NULL;

-- Of each pipeline the newest range of time for whose parts it was asked to run.
CREATE TABLE backfills (
    pipeline_id TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    told TEXT NOT NULL,
    next_start TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    ended_at TEXT
);

CREATE INDEX backfills_running ON backfills (id) WHERE status = 'RUNNING';
