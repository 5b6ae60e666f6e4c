//! What is expected of tables and pipelines: how often tables change, and how the runs of pipelines turn out.

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest, PipelineName, ServiceLevel, TableFreshness, TableId, TableRef};

use crate::CatalogError;

/// What came of defining something of which there can be only so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is new.
    Made,
    /// It was there, and is as said now.
    Changed,
    /// There are as many as there can be.
    TooMany,
}

/// How often tables are expected to change.
#[async_trait]
pub trait FreshnessExpectations: Send + Sync {
    /// Expect a table to change every so many seconds; says whether that is new. The table's time begins anew.
    async fn expect(&self, table: TableId, every_seconds: u64, principal: &str) -> Result<bool, CatalogError>;

    /// Expect nothing of a table any more; says whether something was.
    async fn forget(&self, table: TableId) -> Result<bool, CatalogError>;

    /// An active table; [`CatalogError::TableNotFound`] without one.
    async fn find(&self, name: &TableRef) -> Result<TableFreshness, CatalogError>;

    /// The active tables in these namespaces (none: all), by name; only those of which something is expected, or all.
    /// The token is the last name.
    async fn list(
        &self,
        visible: Option<&[NamespaceName]>,
        only_expected: bool,
        page: &PageRequest,
    ) -> Result<Page<TableFreshness>, CatalogError>;
}

/// The service levels of pipelines.
#[async_trait]
pub trait ServiceLevels: Send + Sync {
    /// Ask this of a pipeline, unless as many as the limit are asked already.
    async fn define(&self, level: &ServiceLevel, principal: &str, limit: u32) -> Result<Entry, CatalogError>;

    /// Ask nothing of a pipeline any more; says whether something was.
    async fn forget(&self, pipeline: &PipelineName) -> Result<bool, CatalogError>;

    /// All of them, by pipeline.
    async fn list(&self) -> Result<Vec<ServiceLevel>, CatalogError>;
}
