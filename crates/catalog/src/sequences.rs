//! The order of the commits to one table.
//!
//! Invariant: no two tries of a commit to one table have the same sequence, and a later one has a higher.

use async_trait::async_trait;
use sluice_domain::{FileRecord, Prepared, TableId, UploadId};

use crate::{CatalogError, PlainCommits};

/// A commit of an upload that is about to be tried.
#[derive(Debug, Clone)]
pub struct CommitTry {
    /// The upload.
    pub upload: UploadId,
    /// The files that hold its rows.
    pub files: Vec<FileRecord>,
    /// What becomes of its rows.
    pub prepared: Prepared,
}

/// The sequences of the tables.
#[async_trait]
pub trait Sequences: PlainCommits {
    /// Say, before every try, that one commit of these uploads to the table is about to be tried by this server, and
    /// enter their files. Gives each its place in the order of the table's commits: from 1, growing, never the same
    /// twice. All or none: [`CatalogError::WrongState`] names the first upload that is committed or failed, or that
    /// another server works on; [`CatalogError::TableNotFound`] where the table is deleted.
    async fn begin_commits(&self, table: TableId, tries: &[CommitTry]) -> Result<Vec<i64>, CatalogError>;

    /// Say that the table's log holds commits up to the sequence `through`, of which a catalog that was brought back
    /// from an older copy may not know: what begins next comes after it. Never lowers anything.
    /// [`CatalogError::TableNotFound`] where the table is deleted, [`CatalogError::Corrupt`] where nothing comes after.
    async fn skip_sequences(&self, table: TableId, through: i64) -> Result<(), CatalogError>;
}
