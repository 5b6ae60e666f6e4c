//! The loop around one commit: guard, put if absent, and find out what came of it.
//!
//! Invariant: after an error the version is read, and the put repeated until the log says whose the version is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use deltalake::{
    DeltaTable,
    kernel::transaction::TransactionError,
    logstore::{CommitOrBytes, LogStore as _},
};
use sluice_storage::StorageError;
use uuid::Uuid;

use super::change::{Change, CommittedEntry, Provenance};
use crate::{CommitFailure, Table, TableError, Transaction};

/// How often a commit is tried when other writers are faster.
const MAX_ATTEMPTS: u32 = 200;
/// How long it is tried.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How often one version is tried while the store does not tell what came of it.
const MAX_PUTS: u32 = 8;
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_millis(500);

impl Table {
    /// Commit a change on top of the newest version.
    pub(crate) async fn commit_change(&self, change: &Change, of: &Provenance) -> Result<CommittedEntry, TableError> {
        let (id, begun) = (Uuid::new_v4().to_string(), Instant::now());
        let (mut attempts, mut seen) = (0, change.reads.base());
        while attempts < MAX_ATTEMPTS && begun.elapsed() < MAX_WAIT {
            let (newest, top) = self.base_of(change).await?;
            self.check_sequence(of).await?;
            let removes = self.guard(change, of, &newest, seen).await?;
            let version = top + 1;
            seen = seen.map(|_| top);
            let bytes = change.encode(&id, &removes, of)?;
            if self.put_entry(version, &bytes).await? {
                return Ok(CommittedEntry { version, bytes });
            }
            tokio::time::sleep(pause(attempts)).await;
            attempts += 1;
        }
        Err(TableError::Contended { attempts })
    }

    /// The version that a change goes on top of, and the table as far as the change needs it.
    async fn base_of(&self, change: &Change) -> Result<(DeltaTable, u64), TableError> {
        if change.is_append() {
            return self.head().await;
        }
        let newest = self.newest().await?;
        let top = newest.version().ok_or(TableError::NotCreated)?;
        Ok((newest, top))
    }

    /// Check that the transaction comes after every one of its writer in the log.
    async fn check_sequence(&self, of: &Provenance) -> Result<(), TableError> {
        let Some(transaction) = &of.transaction else { return Ok(()) };
        match self.newest_sequence(&transaction.app_id).await? {
            Some(newest) if newest >= transaction.sequence => return Err(TableError::SequenceTaken { newest }),
            _ => {}
        }
        self.check_offsets(&of.offsets).await
    }

    /// Check that every stream of rows gets further than the log has it.
    async fn check_offsets(&self, offsets: &[Transaction]) -> Result<(), TableError> {
        for Transaction { app_id, sequence } in offsets {
            match self.known_sequence(app_id).await? {
                Some(newest) if newest >= *sequence => {
                    return Err(CommitFailure::OffsetTaken { app_id: app_id.clone(), newest }.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Put an entry at a version; whether it stands there, or another one.
    pub(crate) async fn put_entry(&self, version: u64, bytes: &Bytes) -> Result<bool, TableError> {
        for attempt in 0..MAX_PUTS {
            let put = CommitOrBytes::LogBytes(bytes.clone());
            let Err(error) = self.log_store.write_commit_entry(version, put, Uuid::nil()).await else {
                return Ok(true);
            };
            // The store may have tried again by itself and run into its own success.
            let found = self.log_store.read_commit_entry(version).await;
            if let Ok(Some(found)) = found {
                return Ok(found == *bytes);
            }
            tracing::warn!(%error, version, "the outcome of a commit is not known yet");
            if found.is_ok()
                && let Some(error) = final_cause(error)
            {
                return Err(error.into());
            }
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(CommitFailure::Unresolved { version }.into())
    }
}

/// The failure of a store that refuses for good, so that nothing of the request can come into effect later.
fn final_cause(error: TransactionError) -> Option<StorageError> {
    let TransactionError::ObjectStore { source } = error else { return None };
    let error = StorageError::from(source);
    matches!(error, StorageError::Refused { .. } | StorageError::Full).then_some(error)
}

/// A pause that grows with the attempts and differs between writers.
fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_millis(5).saturating_mul(1 << attempt.min(7)).min(MAX_PAUSE);
    let random = Uuid::new_v4().as_u128() as u32;
    longest.mul_f64(0.2 + 0.8 * f64::from(random) / f64::from(u32::MAX))
}
