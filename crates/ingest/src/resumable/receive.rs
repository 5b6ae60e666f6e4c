//! A piece of an upload is added to what came before.
//!
//! Invariant: what is received here is received to its end whether or not the client still listens for the answer.

use sluice_domain::{PartialUpload, Progress, UploadId};
use tokio::sync::OwnedSemaphorePermit;

use super::{Checksum, ResumableError, checksum::Comparison, error::of_disk, partial_file::PartialFile};
use crate::{Body, Ingest, IngestError, land::Pieces};

/// After how many bytes of one piece they are made durable, so that a killed server has not lost them.
const CHECKPOINT_BYTES: u64 = 32 * 1024 * 1024;

/// A piece of an upload.
pub struct Piece {
    /// Where it begins.
    pub offset_bytes: u64,
    /// What it must sum up to; without that what came of it stays if it breaks off.
    pub checksum: Option<Checksum>,
    /// The bytes.
    pub body: Body<'static>,
}

/// An upload that is being added to.
struct Receiving {
    partial: PartialUpload,
    file: PartialFile,
    /// How many bytes are in the file.
    written_bytes: u64,
}

impl Ingest {
    /// Add a piece to an upload; the last one lands it. Gives the upload as it is then: every byte that it counts is durable.
    ///
    /// # Errors
    /// [`ResumableError`]. What came before the failure of a piece without a sum stays.
    pub async fn receive(&self, id: UploadId, piece: Piece) -> Result<PartialUpload, ResumableError> {
        let ingest = self.clone();
        // A client that leaves takes its connection with it, and would take this with it half-way.
        let task = self.running.spawn(async move { ingest.receive_here(id, piece).await });
        task.await.unwrap_or_else(|_| Err(IngestError::lost_task("receiver").into()))
    }

    async fn receive_here(&self, id: UploadId, piece: Piece) -> Result<PartialUpload, ResumableError> {
        let place = self.take_place()?;
        let before = self.find_partial(id, piece.offset_bytes).await?;
        let held = PartialFile::hold(&self.partial_dir, id).await.map_err(of_disk)?;
        let mut file = held.ok_or(ResumableError::Busy { upload: id })?;
        // Read again: it may have come to its end, or got further, before it was held.
        let partial = self.find_partial(id, before.offset_bytes).await?;
        if !file.cut(partial.offset_bytes).await.map_err(of_disk)? {
            tracing::error!(upload.id = %id, "the bytes of an upload are gone from the disk; it has to begin anew");
            self.road.catalog.partials().forget(id).await?;
            return Err(ResumableError::NotFound { upload: id });
        }
        let shown = self.progress().begin(id, Progress::from(&partial));
        let mut receiving = Receiving { written_bytes: partial.offset_bytes, partial, file };
        let outcome = self.take(&mut receiving, piece).await;
        let kept = self.keep(&mut receiving).await;
        outcome?;
        kept?;
        if receiving.partial.is_whole() {
            drop(shown);
            self.land_held(receiving.partial.clone(), receiving.file, place).await?;
        }
        Ok(receiving.partial)
    }

    /// The upload, which must be just so far.
    async fn find_partial(&self, id: UploadId, given_bytes: u64) -> Result<PartialUpload, ResumableError> {
        let partial = self.find_resumable(id).await?;
        let actual_bytes = partial.offset_bytes;
        if actual_bytes == given_bytes {
            Ok(partial)
        } else {
            Err(ResumableError::OtherOffset { actual_bytes, given_bytes })
        }
    }

    /// Take the piece into the file. Where it has to have a sum and has not, the file is as before.
    async fn take(&self, receiving: &mut Receiving, piece: Piece) -> Result<(), ResumableError> {
        let settings = &self.road.pipeline.settings;
        let missing_bytes = receiving.partial.size_bytes - receiving.partial.offset_bytes;
        self.check_room(0)?;
        let mut pieces = Pieces::new(piece.body, settings).within(missing_bytes);
        let Some(checksum) = piece.checksum else {
            while let Some(bytes) = pieces.next().await? {
                self.write(receiving, &bytes).await?;
                if receiving.written_bytes - receiving.partial.offset_bytes >= CHECKPOINT_BYTES {
                    self.keep(receiving).await?;
                    self.check_room(0)?;
                }
            }
            return Ok(());
        };
        let algorithm = checksum.algorithm.as_str();
        let mut comparison = Comparison::with(checksum);
        let compared = async {
            while let Some(bytes) = pieces.next().await? {
                comparison.add(&bytes);
                self.write(receiving, &bytes).await?;
            }
            comparison.finish().map_err(|_| ResumableError::OtherChecksum { algorithm })
        };
        let compared: Result<(), ResumableError> = compared.await;
        if compared.is_err() {
            receiving.written_bytes = receiving.partial.offset_bytes;
        }
        compared
    }

    async fn write(&self, receiving: &mut Receiving, bytes: &[u8]) -> Result<(), ResumableError> {
        if let Err(error) = receiving.file.write(bytes).await {
            // An earlier write may be the one that failed.
            receiving.written_bytes = receiving.partial.offset_bytes;
            return Err(of_disk(error).into());
        }
        receiving.written_bytes += bytes.len() as u64;
        self.progress().receive(receiving.partial.id, receiving.written_bytes);
        Ok(())
    }

    /// Make what is in the file durable, and then say so.
    async fn keep(&self, receiving: &mut Receiving) -> Result<(), ResumableError> {
        let (id, from, to) = (receiving.partial.id, receiving.partial.offset_bytes, receiving.written_bytes);
        let expires_at = self.expiry();
        if to > from {
            receiving.file.sync().await.map_err(of_disk)?;
        }
        if !self.road.catalog.partials().advance(id, from, to, expires_at).await? {
            return Err(ResumableError::NotFound { upload: id });
        }
        (receiving.partial.offset_bytes, receiving.partial.expires_at) = (to, expires_at);
        Ok(())
    }
}

/// What an upload holds that lands: its place among those that are taken at once.
pub(super) type Place = OwnedSemaphorePermit;
