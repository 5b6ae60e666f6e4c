//! What must be true of the newest version for a commit to go on top of it.
//!
//! Invariant: nothing is removed that is not live, so no two commits replace the same file.

use std::{collections::HashSet, sync::Arc};

use deltalake::{DeltaTable, kernel::Remove};

use super::change::{Change, Provenance, Reads, Removes};
use crate::{CommitFailure, Refusal, Table, TableError, live::remove_of, schema::Layout};

/// The table features that are written here, or that ask for nothing where they are not used.
const WRITTEN_FEATURES: &[&str] = &["timestampNtz", "appendOnly", "invariants"];
/// Up to here a table without listed features asks for nothing that is not written here.
const PLAIN_WRITER_VERSION: i32 = 2;
/// From here on a table lists its features.
const LISTING_WRITER_VERSION: i32 = 7;

impl Table {
    /// Check a change against the newest version, and give the files that it removes. The versions up to `seen` were
    /// checked before.
    pub(super) async fn guard(
        &self,
        change: &Change,
        of: &Provenance,
        newest: &DeltaTable,
        seen: Option<u64>,
    ) -> Result<Vec<Remove>, TableError> {
        check_writable(newest)?;
        let to = newest.version().ok_or(TableError::NotCreated)?;
        for version in seen.unwrap_or(to) + 1..=to {
            self.check_entry(change, of, version).await?;
        }
        check_files_fit(change, newest)?;
        let removes = check_removes(change, newest)?;
        let append_only = newest.snapshot()?.metadata().configuration().get("delta.appendOnly");
        let takes_rows = change.data_change && removes.iter().any(|remove| remove.data_change);
        if takes_rows && append_only.is_some_and(|value| value == "true") {
            return Err(CommitFailure::AppendOnly.into());
        }
        Ok(removes)
    }

    /// Check that a version since the base changed nothing that was read, and did not take the maintenance over.
    async fn check_entry(&self, change: &Change, of: &Provenance, version: u64) -> Result<(), TableError> {
        // What cannot be read any more may have changed anything.
        let Some(entry) = self.read_entry(version).await? else {
            return Err(CommitFailure::RowsChanged { version }.into());
        };
        if let (Some(epoch), Some(newer)) = (of.epoch, entry.epoch())
            && newer > epoch
        {
            return Err(CommitFailure::Fenced { epoch, newer }.into());
        }
        let changed = match change.reads {
            Reads::Rows(_) => entry.changes_rows(),
            Reads::Metadata(_) => entry.changes_metadata(),
            Reads::All(_) => entry.changes_rows() || entry.changes_metadata(),
            Reads::Nothing | Reads::Files(_) => false,
        };
        if changed { Err(CommitFailure::RowsChanged { version }.into()) } else { Ok(()) }
    }
}

/// Check that the table asks nothing of a writer that is not done here.
pub(crate) fn check_writable(table: &DeltaTable) -> Result<(), TableError> {
    let protocol = table.snapshot()?.protocol();
    let version = protocol.min_writer_version();
    if version <= PLAIN_WRITER_VERSION {
        return Ok(());
    }
    let unsupported = |feature: String| TableError::from(Refusal::UnsupportedFeature { feature });
    if version != LISTING_WRITER_VERSION {
        return Err(unsupported(format!("writer version {version}")));
    }
    let features = protocol.writer_features().into_iter().chain(protocol.reader_features()).flatten();
    match features.map(AsRef::as_ref).find(|feature: &&str| !WRITTEN_FEATURES.contains(feature)) {
        Some(feature) => Err(unsupported(feature.to_owned())),
        None => Ok(()),
    }
}

/// Check that the files were written for the table's columns, or for those that it had before others were added.
fn check_files_fit(change: &Change, newest: &DeltaTable) -> Result<(), TableError> {
    let state = newest.snapshot()?;
    let partition_by = state.metadata().partition_columns();
    let schema = change.columns.clone().map_or_else(|| state.schema(), Arc::new);
    let mut checked: Option<&Arc<Layout>> = None;
    for file in &change.files {
        // The files of one writer share their layout.
        if checked.is_some_and(|checked| Arc::ptr_eq(checked, &file.layout)) {
            continue;
        }
        if let Some(reason) = file.layout.misfit(&schema, partition_by) {
            return Err(CommitFailure::SchemaChanged { reason }.into());
        }
        checked = Some(&file.layout);
    }
    Ok(())
}

/// The files to remove, each of which is live.
fn check_removes(change: &Change, newest: &DeltaTable) -> Result<Vec<Remove>, TableError> {
    let state = newest.snapshot()?;
    let files = state.log_data();
    match &change.removes {
        Removes::Files(removes) if removes.is_empty() => Ok(Vec::new()),
        Removes::Files(removes) => {
            let live: HashSet<String> = files.iter().map(|file| file.path().into_owned()).collect();
            let mut named = HashSet::new();
            match removes.iter().find(|remove| !live.contains(&remove.path) || !named.insert(&remove.path)) {
                Some(remove) => Err(CommitFailure::FileNotLive { path: remove.path.clone() }.into()),
                None => Ok(removes.clone()),
            }
        }
        Removes::Scope(scope) => {
            let inside = files.iter().filter(|file| scope.holds(&file.partition_values_map()));
            Ok(inside.map(|file| remove_of(&file)).collect())
        }
    }
}
