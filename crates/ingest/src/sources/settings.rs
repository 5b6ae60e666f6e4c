//! What an operator allows sources to reach; by default nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Sources that pull.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourcesSettings {
    /// The folders of this machine that sources may read, each with everything below it. Default: none.
    pub folders: Vec<PathBuf>,
    /// The buckets that sources may read, with the server's S3 settings. Default: none.
    pub buckets: Vec<String>,
    /// How many sources there can be.
    pub max_sources: u32,
    /// How many runs go on at once; further ones wait.
    pub concurrent_runs: usize,
    /// How often to look whether a source is due, in seconds.
    pub poll_seconds: u64,
    /// How many ended runs of each source are kept.
    pub keep_runs: u32,
    /// HTTP APIs.
    pub http: HttpSourcesSettings,
}

impl Default for SourcesSettings {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            buckets: Vec::new(),
            max_sources: 1000,
            concurrent_runs: 4,
            poll_seconds: 1,
            keep_runs: 1000,
            http: HttpSourcesSettings::default(),
        }
    }
}

/// What sources may reach by HTTP.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSourcesSettings {
    /// The hosts, as `api.example.com`, which stands for its usual ports, or with a port, as `10.0.0.7:8080`.
    /// Default: none.
    pub hosts: Vec<String>,
    /// The variables of the server's environment that may be sent as bearer tokens; one that ends with `*` stands for
    /// all that begin so. Default: none.
    pub token_variables: Vec<String>,
    /// A folder of files, each of which holds a bearer token. Default: none.
    pub token_dir: Option<PathBuf>,
}
