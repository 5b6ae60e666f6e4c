//! What is known of a table elsewhere: how it is labelled, and whether its log can be trusted.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sluice_domain::{TableEntry, TableId};

use crate::LifecycleError;

/// How a table is labelled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its tags, those of its columns included, and nothing that they inherit.
    pub tags: BTreeSet<String>,
    /// Its classifications, those of its columns included, and what these inherit where they have none of their own.
    pub classifications: BTreeSet<String>,
}

/// What others know of tables.
#[async_trait]
pub trait TableFacts: Send + Sync {
    /// How a table is labelled.
    async fn labels(&self, table: TableId) -> Result<Labels, LifecycleError>;

    /// Whether the table's log is whole, asked before anything is decided by it.
    async fn check_log(&self, table: &TableEntry) -> Result<(), LifecycleError>;
}

/// Nothing is known: no table is labelled, and every log is taken as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

#[async_trait]
impl TableFacts for NoFacts {
    async fn labels(&self, _table: TableId) -> Result<Labels, LifecycleError> {
        Ok(Labels::default())
    }

    async fn check_log(&self, _table: &TableEntry) -> Result<(), LifecycleError> {
        Ok(())
    }
}
