//! An upload that is whole becomes an object of the raw zone and goes the road of every upload.

use bytes::Bytes;
use chrono::Utc;
use futures::{Stream, TryStreamExt as _};
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use sluice_catalog::NewUpload;
use sluice_domain::{Landed, PartialUpload, UploadEntry, ZoneName};
use sluice_storage::{ObjectWriter, StorageError};
use tokio_util::io::ReaderStream;

use super::{ResumableError, error::of_disk, partial_file::PartialFile, receive::Place};
use crate::{Ingest, in_flight::Subject, road::raw_path};

/// How much of the file is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;

impl Ingest {
    /// Land an upload whose every byte is in the file that is held; the rest of its road goes on by itself.
    pub(super) async fn land_held(
        &self,
        partial: PartialUpload,
        mut file: PartialFile,
        place: Place,
    ) -> Result<(), ResumableError> {
        let id = partial.id;
        let claim = self.in_flight.claim(Subject::Upload(id)).ok_or(ResumableError::Busy { upload: id })?;
        file.sync().await.map_err(of_disk)?;
        let raw_path = raw_path(&partial.table, &partial.options, id);
        let object =
            ObjectWriter::open(self.road.pipeline.zones.get(ZoneName::Raw).store(), Path::from(raw_path.as_str()));
        let object = object.await?;
        let bytes = ReaderStream::with_capacity(file.reader().await.map_err(of_disk)?, READ_BYTES);
        let sha256 = copy(bytes.map_err(of_disk), object, partial.size_bytes).await?;
        let entry = self.enter_landed(partial, raw_path, sha256).await?;
        if let Err(error) = file.remove().await {
            tracing::warn!(upload.id = %id, %error, "the bytes of an upload that landed are left on the disk for now");
        }
        // Nobody waits for it here; the ledger tells.
        drop(self.finish(entry, true, (place, claim)));
        Ok(())
    }

    /// Write the ledger row of an upload whose object is durable.
    pub(super) async fn enter_landed(
        &self,
        partial: PartialUpload,
        raw_path: String,
        sha256: String,
    ) -> Result<UploadEntry, ResumableError> {
        let landed = Landed { raw_path, size_bytes: partial.size_bytes, sha256, landed_at: Utc::now() };
        let upload = NewUpload {
            id: partial.id,
            table: partial.table,
            principal: partial.principal,
            idempotency_key: None,
            file_name: partial.file_name,
            options: self.road.pipeline.resolve(&partial.options, &landed).await?,
            landed,
            started_at: partial.started_at,
        };
        Ok(self.road.catalog.uploads().land(&upload).await?)
    }
}

/// Copy these bytes, of which there must be so many, into an object; gives their SHA-256 once it is durable.
async fn copy(
    bytes: impl Stream<Item = Result<Bytes, StorageError>>,
    mut object: ObjectWriter,
    size_bytes: u64,
) -> Result<String, StorageError> {
    let (mut bytes, mut hasher, mut copied_bytes) = (std::pin::pin!(bytes), Sha256::new(), 0);
    while let Some(piece) = bytes.try_next().await? {
        hasher.update(&piece);
        copied_bytes += piece.len() as u64;
        object.write(piece).await?;
    }
    if copied_bytes != size_bytes {
        object.abort().await;
        let path = "partial upload".to_owned();
        return Err(StorageError::WrongSize { path, expected_bytes: size_bytes, found_bytes: copied_bytes });
    }
    object.finish().await?;
    Ok(hex::encode(hasher.finalize()))
}
