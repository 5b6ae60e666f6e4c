//! Commits to plain tables, which have no log: the catalog alone says which files belong to them.
//!
//! Invariant: the versions of a plain table are 0, 1, 2 and so on, each written by one transaction.
//! Invariant: no two files of the lake have the same stamp, whichever server names them.

use arrow_schema::Schema;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{RowCounts, TableId, UploadEntry, UploadId};

use crate::{CatalogError, NewUpload};

/// An upload whose files lie in a plain table's folder, and are to belong to it.
#[derive(Debug, Clone)]
pub struct PlainCommit {
    /// The table.
    pub table: TableId,
    /// The columns that it is partitioned by.
    pub partition_by: Vec<String>,
    /// The columns that the files were written for.
    pub schema: Schema,
    /// The upload.
    pub upload: UploadId,
    /// Who sent it.
    pub principal: String,
    /// What became of its rows.
    pub rows: RowCounts,
    /// When the files were durable.
    pub committed_at: DateTime<Utc>,
    /// What the version's entry says: the files, and whose rows they hold.
    pub content: String,
    /// The upload that brings its bad rows into quarantine.
    pub quarantined: Option<NewUpload>,
}

/// What plain tables have in place of a log.
#[async_trait]
pub trait PlainCommits: Send + Sync {
    /// Give an upload so many microseconds that no file is named by, in a row, and none of them to anybody again. One
    /// that has as many already gets the same. [`CatalogError::UploadNotFound`] without the upload.
    async fn reserve_stamps(&self, upload: UploadId, count: u32) -> Result<DateTime<Utc>, CatalogError>;

    /// Make the table's next version of an upload whose commit was begun: the table is active, the schema recorded, the
    /// entry kept and the upload committed, all at once. None, and nothing is changed, where the table has another
    /// schema by now. An upload that is committed already is given back as it is. [`CatalogError::WrongState`] where no
    /// commit was begun to this table, or it failed; [`CatalogError::TableNotFound`] where the table is deleted.
    async fn commit_next(&self, commit: &PlainCommit) -> Result<Option<UploadEntry>, CatalogError>;
}
