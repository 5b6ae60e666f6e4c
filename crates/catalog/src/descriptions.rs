//! What tables looked like when they were opened last: kept, so that not every question opens them.
//!
//! Invariant: nothing here is believed without a look at the log.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::TableId;

use crate::CatalogError;

/// What a version of a table looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDescription {
    /// The table.
    pub table: TableId,
    /// The version.
    pub version: u64,
    /// The description, in the words of whoever keeps it.
    pub body: String,
    /// When the version was the newest.
    pub kept_at: DateTime<Utc>,
}

/// The descriptions of tables.
#[async_trait]
pub trait Descriptions: Send + Sync {
    /// What is kept of a table.
    async fn find(&self, table: TableId) -> Result<Option<KeptDescription>, CatalogError>;

    /// Keep these, each in the place of an older one. A table that is not there (any more) is passed over.
    async fn keep(&self, descriptions: &[KeptDescription]) -> Result<(), CatalogError>;
}
