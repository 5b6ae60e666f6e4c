-- The newest flow of its transformation that tells of columns: a run that has only begun tells of none yet.
ALTER TABLE lineage_flows ADD COLUMN is_told BIGINT NOT NULL DEFAULT 0;

UPDATE lineage_flows SET is_told = 1
WHERE EXISTS (SELECT 1 FROM lineage_columns c WHERE c.flow_id = lineage_flows.id)
  AND (is_latest = 1 OR NOT EXISTS (
    SELECT 1 FROM lineage_flows n
    WHERE n.source = lineage_flows.source AND n.target = lineage_flows.target
      AND n.transformation = lineage_flows.transformation
      AND (n.occurred_at > lineage_flows.occurred_at
        OR (n.occurred_at = lineage_flows.occurred_at AND n.id > lineage_flows.id))
      AND EXISTS (SELECT 1 FROM lineage_columns c WHERE c.flow_id = n.id)));

CREATE UNIQUE INDEX lineage_flows_told ON lineage_flows (source, target, transformation) WHERE is_told = 1;
CREATE INDEX lineage_flows_told_into ON lineage_flows (target) WHERE is_told = 1;

CREATE INDEX annotations_classification ON annotations (classification) WHERE classification IS NOT NULL;

-- Where changes are told to, and how far each has come. The id is another one after a webhook was deleted and made anew.
CREATE TABLE change_webhooks (
    name TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    definition TEXT NOT NULL,
    secret TEXT,
    principal TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    revision BIGINT NOT NULL,
    position BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    next_at TEXT NOT NULL,
    delivered_number BIGINT,
    delivered_at TEXT,
    failing_since TEXT,
    failed_at TEXT,
    last_error TEXT,
    missed_from BIGINT,
    missed_to BIGINT,
    missed_at TEXT,
    disabled TEXT
);
