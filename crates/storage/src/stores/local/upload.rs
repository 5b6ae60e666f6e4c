//! An object that is written in parts.

use std::{
    path::{Path as FilePath, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{CopyMode, Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::{blocking, disk::Disk, disk_error::failed, past_cache::PastCache, staging::Staging};

/// Parts go straight into the staging file, each at its own offset.
#[derive(Debug)]
pub(super) struct Upload {
    disk: Arc<Disk>,
    /// None once the upload is over.
    staging: Option<Staging>,
    file: Arc<PastCache>,
    /// Where the next part begins.
    offset: u64,
    /// How many bytes of the parts are in the file.
    written: Arc<AtomicU64>,
}

impl Upload {
    /// Begin the object `target`.
    pub(super) fn open(disk: Arc<Disk>, target: PathBuf) -> Result<Self> {
        let (file, staging) = Staging::create(&disk, target)?;
        let file = Arc::new(PastCache::new(file, staging.path()));
        Ok(Self { disk, staging: Some(staging), file, offset: 0, written: Arc::default() })
    }

    fn take_staging(&mut self) -> Result<Staging> {
        self.staging.take().ok_or_else(|| over("the upload is over"))
    }
}

fn over(reason: &'static str) -> Error {
    Error::Generic { store: "DurableLocal", source: reason.into() }
}

fn write_at(file: &PastCache, path: &FilePath, payload: &PutPayload, mut offset: u64) -> Result<()> {
    for piece in payload {
        file.write_all_at(piece, offset).map_err(failed("write", path))?;
        offset += piece.len() as u64;
    }
    Ok(())
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some(staging) = &self.staging else { return async { Err(over("the upload is over")) }.boxed() };
        let (size_bytes, offset) = (data.content_length() as u64, self.offset);
        self.offset += size_bytes;
        let (file, path, written) = (Arc::clone(&self.file), staging.path().to_path_buf(), Arc::clone(&self.written));
        blocking(move || {
            write_at(&file, &path, &data, offset)?;
            written.fetch_add(size_bytes, Ordering::AcqRel);
            Ok(())
        })
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staging = self.take_staging()?;
        // A part that failed or was not awaited has left a hole in the file.
        if self.written.load(Ordering::Acquire) != self.offset {
            return Err(over("a part of the upload was not written"));
        }
        let (disk, file) = (Arc::clone(&self.disk), Arc::clone(&self.file));
        blocking(move || staging.publish_synced(&disk, file.file(), CopyMode::Overwrite)).await
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.staging.take());
        Ok(())
    }
}
