//! The limits of queries.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::RowLimit;

/// What one query may use, and how many may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySettings {
    /// The memory of one query's sorts, joins and aggregates, in bytes; beyond it they spill to disk or fail.
    pub memory_bytes: usize,
    /// Where queries spill: a folder that no other server uses. What a killed query left in it is removed.
    /// Default: `spill` in the data folder.
    pub spill_dir: Option<PathBuf>,
    /// The disk space of one query's spilled data, in bytes.
    pub spill_bytes: u64,
    /// How long a query may run, in seconds, the reading of its result included.
    pub timeout_seconds: u64,
    /// How many queries run at once.
    pub concurrency: usize,
    /// How many more may wait for a place; others are turned away.
    pub queue: usize,
    /// The longest SQL text, in bytes.
    pub max_sql_bytes: usize,
    /// How many rows a query answers where the caller does not say.
    pub default_row_limit: u64,
    /// How many rows a query answers at the most, whatever number the caller says.
    pub max_row_limit: u64,
    /// How many threads compute in each process. Default: one for each core, and in processes that run queries two for
    /// each core, shared out among as many as run at once: more would keep the server itself waiting.
    pub threads: Option<usize>,
    /// Into how many parallel parts one query is split.
    pub target_partitions: usize,
    /// What is between a query and the server.
    pub isolation: Isolation,
    /// The address space of a process that runs a query, in bytes: whatever it allocates, spilled or not, counted or
    /// not. Default: `memory_bytes` and 2 GiB.
    pub address_space_bytes: Option<u64>,
}

/// What is between a query and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A process of its own, with limits: a query that exhausts it ends alone.
    Process,
    /// Nothing: a query that exhausts memory or stack ends the server.
    None,
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a process needs besides the memory that queries are limited to: code, stacks, buffers of what is read.
const OVERHEAD_BYTES: u64 = 2 << 30;

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            spill_dir: None,
            spill_bytes: 10 << 30,
            timeout_seconds: 60,
            concurrency: 4,
            queue: 64,
            max_sql_bytes: 65_536,
            default_row_limit: 1_000,
            max_row_limit: 100_000,
            threads: None,
            target_partitions: 2,
            isolation: Isolation::Process,
            address_space_bytes: None,
        }
    }
}

impl QuerySettings {
    /// How many threads compute in this process.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(cores)
    }

    /// How many threads compute in each of the processes that run queries.
    pub(crate) fn worker_threads(&self) -> usize {
        self.threads.unwrap_or_else(|| (2 * cores()).div_ceil(self.concurrency.max(1)))
    }

    /// The address space of a process that runs a query, in bytes.
    pub fn worker_address_space_bytes(&self) -> u64 {
        self.address_space_bytes.unwrap_or_else(|| (self.memory_bytes as u64).saturating_add(OVERHEAD_BYTES))
    }

    /// The number of rows that a query with this wish may answer; none where there is no limit.
    pub(crate) fn row_limit(&self, wished: RowLimit) -> Option<u64> {
        match wished {
            RowLimit::Default => Some(self.default_row_limit.min(self.max_row_limit)),
            RowLimit::AtMost(rows) => Some(rows.min(self.max_row_limit)),
            RowLimit::None => None,
        }
    }
}
