//! What an operator can set about the wall around decoders.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where files are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Binary formats in processes of their own: whatever a file does there, it does not do to the server.
    #[default]
    Process,
    /// Everything in the server's own process, for programs that embed it.
    None,
}

/// How the processes that decode are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// The program; by default the one that is running.
    pub executable: Option<PathBuf>,
    /// How many started processes wait for files, besides one that waits to be among them.
    pub spare: usize,
    /// The most address space that a process may take, in bytes.
    pub address_space_bytes: u64,
    /// The most memory of its own that a process may take, its program and its stacks aside, in bytes.
    pub memory_bytes: u64,
    /// For how long a process may compute at most, in seconds.
    pub cpu_seconds: u64,
    /// For how long a process may compute without giving rows, in seconds.
    pub fruitless_cpu_seconds: u64,
    /// How many bytes of rows a process must give for each further second of computing.
    pub min_bytes_per_cpu_second: u64,
    /// For how long a process may be silent that has hardly come to compute, in seconds.
    pub silent_seconds: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            executable: None,
            spare: 1,
            address_space_bytes: 1 << 30,
            memory_bytes: 384 << 20,
            cpu_seconds: 3600,
            fruitless_cpu_seconds: 6,
            min_bytes_per_cpu_second: 4 << 20,
            silent_seconds: 120,
        }
    }
}
