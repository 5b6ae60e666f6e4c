//! An upload is announced before its bytes come, found while they do, and ended where they are not wanted any more.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_catalog::CatalogError;
use sluice_domain::{Delivery, Grant, PartialUpload, ReadOptions, TableRef, UploadEntry, UploadId};
use sluice_storage::{StorageError, free_bytes};
use uuid::Uuid;

use super::{ResumableError, error::of_disk, partial_file::PartialFile};
use crate::{BodyError, Ingest};

/// An upload that is to come.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The table to add to.
    pub table: TableRef,
    /// How the bytes are read.
    pub options: ReadOptions,
    /// The client's name of the file.
    pub file_name: Option<String>,
    /// What the client said of it, word for word.
    pub note: Option<String>,
    /// How many bytes there will be.
    pub size_bytes: u64,
    /// What their SHA-256 must be, in lower-case hexadecimal.
    pub sha256: Option<String>,
}

/// Where an upload is.
#[derive(Debug, Clone)]
pub enum Announced {
    /// Its bytes are still to come, some of them at least.
    Partial(Box<PartialUpload>),
    /// It is in the ledger.
    Landed(Box<UploadEntry>),
}

impl Announced {
    /// The table that it is for.
    pub fn table(&self) -> &TableRef {
        match self {
            Self::Partial(partial) => &partial.table,
            Self::Landed(entry) => &entry.table,
        }
    }

    /// Who sends it.
    pub fn principal(&self) -> &str {
        match self {
            Self::Partial(partial) => &partial.principal,
            Self::Landed(entry) => &entry.principal,
        }
    }
}

impl Ingest {
    /// Announce an upload whose bytes come in pieces.
    ///
    /// # Errors
    /// [`BodyError`] where it has no bytes or too many, [`ResumableError::TooManyOpen`], [`StorageError::Full`].
    pub async fn announce(&self, grant: &Grant, wanted: Announcement) -> Result<PartialUpload, ResumableError> {
        self.check_size(wanted.size_bytes, self.road.pipeline.settings.max_body_bytes)?;
        self.check_room(wanted.size_bytes)?;
        self.enter(grant, wanted, Delivery::Resumable).await
    }

    /// Find an upload, whether it has landed or not.
    ///
    /// # Errors
    /// [`ResumableError::NotFound`] without one; one that is given up is not there.
    pub async fn find_announced(&self, id: UploadId) -> Result<Announced, ResumableError> {
        // In this order: on its way from the one place to the other it is never in neither.
        if let Some(partial) = self.road.catalog.partials().find(id).await? {
            let is_given_up = !partial.is_whole() && partial.expires_at <= Utc::now();
            return if is_given_up {
                Err(ResumableError::NotFound { upload: id })
            } else {
                Ok(Announced::Partial(Box::new(partial)))
            };
        }
        match self.road.catalog.uploads().find(id).await {
            Ok(entry) => Ok(Announced::Landed(Box::new(entry))),
            Err(CatalogError::UploadNotFound { upload }) => Err(ResumableError::NotFound { upload }),
            Err(error) => Err(error.into()),
        }
    }

    /// End an upload that has not landed, and remove what came of it.
    ///
    /// # Errors
    /// [`ResumableError::NotFound`], [`ResumableError::Landed`], [`ResumableError::Busy`].
    pub async fn terminate(&self, id: UploadId) -> Result<(), ResumableError> {
        self.find_resumable(id).await?;
        let held = PartialFile::hold(&self.partial_dir, id).await.map_err(of_disk)?;
        let file = held.ok_or(ResumableError::Busy { upload: id })?;
        let forgotten = self.road.catalog.partials().forget(id).await?;
        if !forgotten {
            // It may have landed while the file was being held.
            return Err(self.find_resumable(id).await.err().unwrap_or(ResumableError::Busy { upload: id }));
        }
        Ok(file.remove().await.map_err(of_disk)?)
    }

    /// An upload that pieces can be added to.
    pub(super) async fn find_resumable(&self, id: UploadId) -> Result<PartialUpload, ResumableError> {
        match self.find_announced(id).await? {
            Announced::Partial(partial) if partial.delivery == Delivery::Resumable => Ok(*partial),
            Announced::Partial(_) => Err(ResumableError::NotFound { upload: id }),
            Announced::Landed(_) => Err(ResumableError::Landed { upload: id }),
        }
    }

    pub(super) async fn enter(
        &self,
        grant: &Grant,
        wanted: Announcement,
        delivery: Delivery,
    ) -> Result<PartialUpload, ResumableError> {
        let partial = PartialUpload {
            id: UploadId(Uuid::now_v7()),
            delivery,
            table: wanted.table,
            principal: grant.principal().to_owned(),
            file_name: wanted.file_name,
            note: wanted.note,
            options: wanted.options,
            size_bytes: wanted.size_bytes,
            offset_bytes: 0,
            sha256: wanted.sha256,
            started_at: Utc::now(),
            expires_at: self.expiry(),
        };
        let limit = self.road.pipeline.settings.resumable.max_open;
        let is_entered = self.road.catalog.partials().announce(&partial, limit).await?;
        if is_entered { Ok(partial) } else { Err(ResumableError::TooManyOpen { limit }) }
    }

    /// When an upload that is touched now is given up.
    pub(super) fn expiry(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::hours(self.road.pipeline.settings.resumable.expire_hours.into())
    }

    pub(super) fn check_size(&self, size_bytes: u64, limit_bytes: u64) -> Result<(), BodyError> {
        match size_bytes {
            0 => Err(BodyError::Empty),
            size_bytes if size_bytes > limit_bytes => Err(BodyError::TooLarge { limit_bytes }),
            _ => Ok(()),
        }
    }

    /// Whether there is room for this many bytes more.
    pub(super) fn check_room(&self, size_bytes: u64) -> Result<(), StorageError> {
        self.road.pipeline.check_space()?;
        let needed = self.road.pipeline.settings.min_free_bytes.saturating_add(size_bytes);
        let free = free_bytes(&self.partial_dir).map_err(of_disk)?;
        if free < needed { Err(StorageError::Full) } else { Ok(()) }
    }
}
