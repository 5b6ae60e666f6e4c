-- What becomes of data of a certain age.
CREATE TABLE lifecycle_rules (
    name TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);

-- What was to be done, item by item, and what came of it. A plan that was begun is a run.
CREATE TABLE lifecycle_plans (
    id TEXT NOT NULL PRIMARY KEY,
    cause TEXT NOT NULL CHECK (cause IN ('request', 'schedule')),
    principal TEXT NOT NULL,
    as_of TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'applying', 'applied')),
    summary TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    counts TEXT
);

CREATE INDEX lifecycle_plans_state ON lifecycle_plans (state, id);

CREATE TABLE lifecycle_items (
    plan_id TEXT NOT NULL REFERENCES lifecycle_plans (id),
    number BIGINT NOT NULL,
    item TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'skipped', 'failed', 'refused')),
    detail TEXT,
    freed_bytes BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (plan_id, number)
);

-- The bytes of uploads that are not in the store as they came in: their class, or that they are gone.
CREATE TABLE lifecycle_objects (
    raw_path TEXT NOT NULL PRIMARY KEY,
    storage_class TEXT NOT NULL,
    simulated BIGINT NOT NULL,
    changed_at TEXT NOT NULL,
    expired_at TEXT
);

-- The files of a purged table are gone, so that it cannot be restored.
ALTER TABLE tables ADD COLUMN purged_at TEXT;
CREATE INDEX tables_to_purge ON tables (deleted_at) WHERE state = 'deleted' AND purged_at IS NULL;
