-- When a result was written down, which may be long after its check began; those of earlier releases do not tell.
ALTER TABLE quality_results ADD COLUMN recorded_at TEXT;

-- Whoever watches asks for what was written down lately.
CREATE INDEX quality_results_recorded ON quality_results (recorded_at, id) WHERE recorded_at IS NOT NULL;

-- When what an alert told was found to be over, and by which later occurrence.
ALTER TABLE alerts ADD COLUMN resolved_at TEXT;
ALTER TABLE alerts ADD COLUMN resolved_by TEXT;
