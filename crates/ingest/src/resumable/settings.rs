//! What an operator can set about uploads that do not come by one request.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits of uploads that do not come by one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumableSettings {
    /// The folder of the bytes that came in so far; all servers of the lake must see the same one. Default: `partial` in
    /// the data folder.
    pub dir: Option<PathBuf>,
    /// How many such uploads there may be that have not landed; more are answered with 429.
    pub max_open: u32,
    /// After how many hours without new bytes an upload is given up.
    pub expire_hours: u32,
    /// For how many minutes the URL of an upload straight to the store works, from 1 to 720.
    pub url_minutes: u32,
    /// How many clients may wait for events of uploads at once; more are answered with 429.
    pub max_listeners: usize,
}

impl Default for ResumableSettings {
    fn default() -> Self {
        Self { dir: None, max_open: 1000, expire_hours: 24, url_minutes: 15, max_listeners: 256 }
    }
}
