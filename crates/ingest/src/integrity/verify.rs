//! One object against its size and hash.

use std::sync::Arc;

use futures::StreamExt as _;
use object_store::{ObjectStore, path::Path};
use sha2::{Digest as _, Sha256};
use sluice_storage::{StorageError, read_chunks};

/// What an object turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    Missing,
    /// In what it differs.
    Differs(String),
}

/// Read an object to its end and compare it.
///
/// # Errors
/// The store's, where it does not say that the object is missing or of another size.
pub(super) async fn verify(
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
    sha256: &str,
) -> Result<Verdict, StorageError> {
    let mut chunks = Box::pin(read_chunks(store, path, size_bytes));
    let mut hasher = Sha256::new();
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => hasher.update(&chunk),
            Err(StorageError::NotFound { .. }) => return Ok(Verdict::Missing),
            Err(error @ StorageError::WrongSize { .. }) => return Ok(Verdict::Differs(error.to_string())),
            Err(error) => return Err(error),
        }
    }
    let found = hex::encode(hasher.finalize());
    Ok(if found == sha256 { Verdict::Same } else { Verdict::Differs(format!("its SHA-256 is {found}, not {sha256}")) })
}
