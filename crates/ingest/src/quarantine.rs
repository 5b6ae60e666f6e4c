//! Rows that are set aside: gathered while a file is decoded, kept beside it in the raw zone, and brought into a table
//! of their own by an upload of their own.
//!
//! Invariant: the bad rows are durable before the commit of the good ones, and the ledger says that they are there in
//! the same transaction that says that the good ones are.

use std::io::{self, Read as _};

use bytes::Bytes;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use sluice_catalog::NewUpload;
use sluice_domain::{Format, Landed, ReadOptions, TableLayout, UploadEntry};
use sluice_storage::{ObjectWriter, Zone};

use crate::{IngestError, pipeline::Shape};

mod bad_rows;
mod record;

pub(crate) use bad_rows::{BadRows, Spool};

/// How much of the bad rows is sent to the store at once, in bytes.
const SEND_BYTES: usize = 1 << 20;

/// The columns of every quarantine.
pub(crate) fn shape() -> Shape {
    Shape { schema: record::schema(), partition_by: Vec::new(), layout: TableLayout::default() }
}

/// The upload that brings the bad rows of this one into quarantine, where it has any.
pub(crate) fn upload_of(entry: &UploadEntry) -> Option<NewUpload> {
    let landed = entry.prepared.as_ref()?.quarantine.clone()?;
    Some(NewUpload {
        id: entry.id.of_quarantine(),
        table: entry.table.quarantine()?,
        principal: entry.principal.clone(),
        idempotency_key: None,
        file_name: None,
        options: ReadOptions::of(Format::Ndjson),
        landed,
        started_at: entry.started_at,
    })
}

/// Put the bad rows of an upload into the raw zone.
pub(crate) async fn land(entry: &UploadEntry, spool: Spool, zone: &Zone) -> Result<Landed, IngestError> {
    let table = entry.table.quarantine().ok_or_else(|| IngestError::lost_task("quarantine"))?;
    let raw_path = format!("uploads/{}/{}/{}.ndjson", table.namespace, table.table, entry.id.of_quarantine());
    let mut object = ObjectWriter::open(zone.store(), Path::from(raw_path.as_str())).await?;
    let (mut hash, mut size_bytes) = (Sha256::new(), 0);
    let mut spool = spool.into_reader().map_err(crate::DecodeError::Read)?;
    loop {
        let (read, piece) = next_piece(spool).await?;
        if piece.is_empty() {
            break;
        }
        spool = read;
        hash.update(&piece);
        size_bytes += piece.len() as u64;
        object.write(piece).await?;
    }
    object.finish().await?;
    Ok(Landed { raw_path, size_bytes, sha256: hex::encode(hash.finalize()), landed_at: chrono::Utc::now() })
}

/// The next piece of a file that may lie on a disk; an empty one at the end.
async fn next_piece(file: tempfile::SpooledTempFile) -> Result<(tempfile::SpooledTempFile, Bytes), IngestError> {
    let reading = tokio::task::spawn_blocking(move || {
        let (mut file, mut piece) = (file, Vec::with_capacity(SEND_BYTES));
        (&mut file).take(SEND_BYTES as u64).read_to_end(&mut piece)?;
        Ok::<_, io::Error>((file, piece.into()))
    });
    let read = reading.await.map_err(|_| IngestError::lost_task("reader of bad rows"))?;
    read.map_err(|error| crate::DecodeError::Read(error).into())
}
