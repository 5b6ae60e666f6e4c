//! The history of a table's schema.
//!
//! Invariant: a schema version differs from the one before it, and both its number and its table version are higher.

use arrow_schema::Schema;
use async_trait::async_trait;
use sluice_domain::{Page, PageRequest, RunId, SchemaVersion, TableId, UploadId};

use crate::CatalogError;

/// The schema that a table has from some version on.
#[derive(Debug, Clone)]
pub struct NewSchemaVersion {
    /// The table.
    pub table_id: TableId,
    /// The table version that was written with the schema.
    pub table_version: u64,
    /// The schema.
    pub schema: Schema,
    /// The upload that brought it about.
    pub upload_id: Option<UploadId>,
    /// The run of a pipeline that brought it about.
    pub run_id: Option<RunId>,
    /// Who brought it about.
    pub principal: String,
}

/// The schema versions of tables.
#[async_trait]
pub trait Schemas: Send + Sync {
    /// Record the schema of a table version. Gives back what is there already for a table version that is recorded,
    /// and the latest for a schema that did not change or a table version that others have overtaken.
    /// [`CatalogError::TableNotFound`] without the table; [`CatalogError::Corrupt`] for a schema so deeply nested that
    /// it could not be read back.
    async fn record(&self, new: &NewSchemaVersion) -> Result<SchemaVersion, CatalogError>;

    /// The schema versions of a table, newest first. The token is the last number.
    async fn list(&self, table: TableId, page: &PageRequest) -> Result<Page<SchemaVersion>, CatalogError>;

    /// The newest schema version of a table; none before its first commit.
    async fn latest(&self, table: TableId) -> Result<Option<SchemaVersion>, CatalogError>;
}
