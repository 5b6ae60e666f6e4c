//! Bytes that clients put straight into the raw zone's object store.
//!
//! Invariant: the object is read to its end, for its size and hash, before the ledger knows of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};
use sluice_domain::{Delivery, Grant, PartialUpload, UploadEntry, UploadId, ZoneName};
use sluice_storage::{PresignedPut, StorageError, read_object};

use super::{Announced, Announcement, ResumableError};
use crate::{Ingest, Outcome, in_flight::Subject, road::raw_path};

/// The largest object that S3 takes by one request, in bytes.
pub const DIRECT_MAX_BYTES: u64 = 5 << 30;

/// An upload straight to the store, and how it is done.
#[derive(Debug, Clone)]
pub struct Direct {
    /// The upload.
    pub partial: PartialUpload,
    /// The request that puts its bytes.
    pub put: PresignedPut,
    /// Until when that request works.
    pub works_until: DateTime<Utc>,
}

impl Ingest {
    /// Announce an upload whose bytes the client puts straight into the raw zone's store.
    ///
    /// # Errors
    /// [`ResumableError::NoDirectUploads`] where that is none; [`crate::BodyError`] where there are no bytes or too many.
    pub async fn announce_direct(&self, grant: &Grant, wanted: Announcement) -> Result<Direct, ResumableError> {
        let settings = &self.road.pipeline.settings;
        self.check_size(wanted.size_bytes, settings.max_body_bytes.min(DIRECT_MAX_BYTES))?;
        let signer = self.road.pipeline.zones.presigner().ok_or(ResumableError::NoDirectUploads)?;
        let works_for = Duration::from_secs(60 * u64::from(settings.resumable.url_minutes.clamp(1, 720)));
        let partial = self.enter(grant, wanted, Delivery::Presigned).await?;
        let path = raw_path(&partial.table, &partial.options, partial.id);
        let put = signer.put(&Path::from(path), works_for).await?;
        Ok(Direct { partial, put, works_until: Utc::now() + works_for })
    }

    /// Take up an upload whose bytes the client has put, and add its rows to the table; asked again, give its outcome.
    ///
    /// # Errors
    /// [`ResumableError::OtherObject`] where the bytes are missing or not those that were announced: they can be put
    /// again. Otherwise as [`Ingest::append`].
    pub async fn complete(&self, id: UploadId, respond_async: bool) -> Result<Outcome, ResumableError> {
        let place = self.take_place()?;
        let claim = self.in_flight.claim(Subject::Upload(id)).ok_or(ResumableError::Busy { upload: id })?;
        let entry = match self.find_announced(id).await? {
            Announced::Partial(partial) => self.land_direct(*partial).await?,
            Announced::Landed(entry) => {
                if let Some(failure) = entry.failure.clone() {
                    return Err(crate::UploadFailure { upload_id: Some(id), error: failure.into() }.into());
                }
                if let Some(receipt) = self.receipt(&entry) {
                    return Ok(Outcome::Replayed(receipt));
                }
                self.own(*entry).await?
            }
        };
        let landed = entry.clone();
        let finishing = self.finish(entry, true, (place, claim));
        if respond_async {
            return Ok(Outcome::Landed(Box::new(landed)));
        }
        Ok(finishing.await.map(Outcome::Committed)?)
    }

    async fn land_direct(&self, partial: PartialUpload) -> Result<UploadEntry, ResumableError> {
        if partial.delivery != Delivery::Presigned {
            let actual_bytes = partial.offset_bytes;
            let reason = format!("{actual_bytes} of {} bytes came in; the last one completes it", partial.size_bytes);
            return Err(ResumableError::OtherObject { reason });
        }
        let raw_path = raw_path(&partial.table, &partial.options, partial.id);
        let sha256 = self.digest_of(&raw_path, partial.size_bytes).await?;
        match &partial.sha256 {
            Some(announced) if *announced != sha256 => {
                Err(ResumableError::OtherObject { reason: format!("its SHA-256 is {sha256}, not {announced}") })
            }
            _ => self.enter_landed(partial, raw_path, sha256).await,
        }
    }

    async fn digest_of(&self, raw_path: &str, size_bytes: u64) -> Result<String, ResumableError> {
        let store = self.road.pipeline.zones.get(ZoneName::Raw).store();
        let digest = async {
            let mut bytes = std::pin::pin!(read_object(store, Path::from(raw_path), size_bytes).await?);
            let mut hasher = Sha256::new();
            while let Some(piece) = bytes.try_next().await? {
                hasher.update(&piece);
            }
            Ok(hex::encode(hasher.finalize()))
        };
        digest.await.map_err(|error: StorageError| match error {
            StorageError::NotFound { .. } => ResumableError::OtherObject { reason: "it is not there".into() },
            StorageError::WrongSize { expected_bytes, found_bytes, .. } => {
                ResumableError::OtherObject { reason: format!("it has {found_bytes} bytes, not {expected_bytes}") }
            }
            error => error.into(),
        })
    }
}
