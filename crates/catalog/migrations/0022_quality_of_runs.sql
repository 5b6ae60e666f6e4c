-- The run of a pipeline of whose rows a suite was asked.
ALTER TABLE quality_results ADD COLUMN run_id TEXT;
