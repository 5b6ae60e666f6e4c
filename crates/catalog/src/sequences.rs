//! The order of the commits to one table.
//!
//! Invariant: no two attempts at a commit to one table have the same sequence, and a later one has a higher.

use async_trait::async_trait;
use sluice_domain::{TableId, UploadId};

use crate::CatalogError;

/// The sequences of the tables.
#[async_trait]
pub trait Sequences: Send + Sync {
    /// Say, before every try, that a commit of the upload to the table is about to be tried. Gives the try its place in
    /// the order of the table's commits: from 1, never the same twice. [`CatalogError::WrongState`] where the upload is
    /// committed or failed, [`CatalogError::TableNotFound`] where the table is deleted.
    async fn begin_commit(&self, id: UploadId, table: TableId) -> Result<i64, CatalogError>;

    /// Say that the table's log holds commits up to the sequence `through`, of which a catalog that was brought back
    /// from an older copy may not know: what begins next comes after it. Never lowers anything.
    /// [`CatalogError::TableNotFound`] where the table is deleted, [`CatalogError::Corrupt`] where nothing comes after.
    async fn skip_sequences(&self, table: TableId, through: i64) -> Result<(), CatalogError>;
}
