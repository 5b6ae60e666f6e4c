//! The limits of pipelines.

use serde::{Deserialize, Serialize};

/// Pipelines and their runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurateSettings {
    /// How many pipelines there can be.
    pub max_pipelines: u32,
    /// How many runs go on at once in this server; further ones wait. Each has a place among the queries, too.
    pub concurrent_runs: usize,
    /// How often to look whether a pipeline is due or an input has new data, in seconds.
    pub poll_seconds: u64,
    /// How many ended runs of each pipeline are kept.
    pub keep_runs: u32,
}

impl Default for CurateSettings {
    fn default() -> Self {
        Self { max_pipelines: 1000, concurrent_runs: 2, poll_seconds: 1, keep_runs: 1000 }
    }
}
