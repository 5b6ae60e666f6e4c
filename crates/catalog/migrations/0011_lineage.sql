-- Flows of data, besides those that the ledger of uploads tells of. A dataset is its namespace and its name with a line
-- feed between them, a column that of its dataset, a line feed and its name; no part of them holds one.

-- Runs of jobs elsewhere, as events have told of them so far.
CREATE TABLE lineage_runs (
    id TEXT NOT NULL PRIMARY KEY,
    progress TEXT NOT NULL,
    progress_at TEXT NOT NULL,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- The events as they came; the id is the digest of the text.
CREATE TABLE lineage_events (
    id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT,
    event_time TEXT NOT NULL,
    body TEXT NOT NULL,
    principal TEXT NOT NULL,
    received_at TEXT NOT NULL
);

CREATE INDEX lineage_events_run ON lineage_events (run_id, event_time, id);

-- What a run read and wrote: its events each tell a part of it, in any order.
CREATE TABLE lineage_run_datasets (
    run_id TEXT NOT NULL REFERENCES lineage_runs (id),
    role TEXT NOT NULL CHECK (role IN ('input', 'output')),
    dataset TEXT NOT NULL,
    version BIGINT,
    facts TEXT NOT NULL,
    told_at TEXT NOT NULL,
    PRIMARY KEY (run_id, role, dataset)
);

-- One flow for each run; without a run, one for each transformation. The latest of a transformation is what a graph shows.
CREATE TABLE lineage_flows (
    id TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    transformation TEXT NOT NULL,
    run_id TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('manual', 'openlineage', 'sql')),
    source_version BIGINT,
    target_version BIGINT,
    metadata TEXT NOT NULL,
    principal TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    is_latest BIGINT NOT NULL
);

CREATE UNIQUE INDEX lineage_flows_identity ON lineage_flows (source, target, transformation, run_id);
CREATE UNIQUE INDEX lineage_flows_latest ON lineage_flows (source, target, transformation) WHERE is_latest = 1;
CREATE INDEX lineage_flows_latest_into ON lineage_flows (target) WHERE is_latest = 1;
CREATE INDEX lineage_flows_into ON lineage_flows (target, id);

CREATE TABLE lineage_columns (
    flow_id TEXT NOT NULL REFERENCES lineage_flows (id),
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    influence TEXT NOT NULL,
    is_latest BIGINT NOT NULL
);

CREATE INDEX lineage_columns_flow ON lineage_columns (flow_id);
CREATE INDEX lineage_columns_source ON lineage_columns (source, is_latest);
CREATE INDEX lineage_columns_target ON lineage_columns (target, is_latest);
