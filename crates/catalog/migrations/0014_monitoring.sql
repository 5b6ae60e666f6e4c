-- When an upload failed; those of earlier releases do not tell.
ALTER TABLE uploads ADD COLUMN failed_at TEXT;

-- Whoever watches asks for what ended lately.
CREATE INDEX uploads_committed ON uploads (committed_at) WHERE committed_at IS NOT NULL;
CREATE INDEX uploads_failed ON uploads (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX source_runs_finished ON source_runs (finished_at) WHERE finished_at IS NOT NULL;

-- Runs that other programs report. Those of uploads and sources are read from the ledger. The id tells the start.
CREATE TABLE pipeline_runs (
    id TEXT NOT NULL PRIMARY KEY,
    pipeline TEXT NOT NULL,
    table_name TEXT,
    principal TEXT NOT NULL,
    idempotency_key TEXT,
    status TEXT NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED', 'WARNING', 'CANCELLED')),
    started_at TEXT NOT NULL,
    ended_at TEXT,
    figures TEXT NOT NULL,
    error TEXT,
    revision BIGINT NOT NULL
);

CREATE INDEX pipeline_runs_pipeline ON pipeline_runs (pipeline, id);
CREATE INDEX pipeline_runs_ended ON pipeline_runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE UNIQUE INDEX pipeline_runs_key ON pipeline_runs (principal, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- How often tables are expected to change. A table without a row is expected to do nothing.
CREATE TABLE freshness_expectations (
    table_id TEXT NOT NULL PRIMARY KEY REFERENCES tables (id),
    every_seconds BIGINT NOT NULL,
    principal TEXT NOT NULL,
    expected_since TEXT NOT NULL
);

-- What is asked of the runs of pipelines, and when to raise an alert.
CREATE TABLE service_levels (
    pipeline TEXT NOT NULL PRIMARY KEY,
    targets TEXT NOT NULL,
    principal TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

CREATE TABLE alert_rules (
    name TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    principal TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- Alerts, and their ways to people: a delivery waits here until a channel took it.
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    namespace TEXT,
    occurrence TEXT NOT NULL,
    alert_type TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'CRITICAL')),
    message TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE INDEX alerts_subject ON alerts (subject, rule, created_at);

CREATE TABLE alert_deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    alert_id TEXT NOT NULL REFERENCES alerts (id),
    channel TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts BIGINT NOT NULL,
    next_at TEXT NOT NULL,
    detail TEXT,
    settled_at TEXT,
    UNIQUE (alert_id, channel)
);

CREATE INDEX alert_deliveries_due ON alert_deliveries (channel, next_at) WHERE state = 'waiting';

-- The server whose turn it is to watch, and up to when it has looked.
CREATE TABLE watches (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until TEXT NOT NULL,
    watermark TEXT
);
