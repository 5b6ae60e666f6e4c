-- What was asked of the run of a pipeline, beyond what the pipeline says.
ALTER TABLE curated_runs ADD COLUMN wish TEXT NOT NULL DEFAULT '{}';
