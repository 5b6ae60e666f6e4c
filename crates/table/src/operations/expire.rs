//! Expire: whole data files go that were written before an instant.
//!
//! Invariant: a row goes only with its file, and a file that was written anew since is as young as that.

use chrono::{DateTime, Utc};
use deltalake::DeltaTable;

use super::{Rewrite, RowChanges};
use crate::{
    Table, TableError,
    live::{LiveFile, live_files},
    log::change::{Change, Reads},
};

/// Take out the data files that were written before an instant, by the log's own word.
#[derive(Debug, Clone)]
pub struct Expire {
    /// The instant.
    pub before: DateTime<Utc>,
}

impl Table {
    pub(super) fn prepare_expire(&self, expire: &Expire, newest: &DeltaTable) -> Result<Rewrite, TableError> {
        let is_old = |file: &LiveFile| file.written_before(expire.before);
        let expired: Vec<LiveFile> = live_files(newest)?.into_iter().filter(is_old).collect();
        let deleted = expired.iter().filter_map(LiveFile::rows).sum();
        let base = newest.version().ok_or(TableError::NotCreated)?;
        let change = Change {
            operation: "DELETE",
            parameters: vec![("filesBefore", expire.before.to_rfc3339())],
            reads: Reads::Files(base),
            ..Change::append(Vec::new())
        };
        Ok(Rewrite::replacing(change, Vec::new(), &expired, RowChanges { deleted, ..RowChanges::default() }))
    }
}
