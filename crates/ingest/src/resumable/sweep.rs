//! Uploads that nobody goes on with: what is whole lands, what is given up is removed.

use chrono::{TimeDelta, Utc};
use object_store::{ObjectStoreExt as _, path::Path};
use sluice_domain::{Delivery, PartialUpload, UploadId, ZoneName};
use sluice_storage::StorageError;

use super::{
    Announced, ResumableError,
    error::of_disk,
    partial_file::{PartialFile, list},
};
use crate::{Ingest, road::raw_path};

/// How many uploads one pass takes up of each kind.
const MAX_PER_PASS: u32 = 1000;

/// For how long after its end an object is left alone: the request that completes it may be under way.
const DIRECT_GRACE: TimeDelta = TimeDelta::hours(1);

impl Ingest {
    /// Land and remove what is due. What fails is left for the next pass.
    pub(crate) async fn sweep_partials(self) {
        let outcomes = [
            ("land", self.land_whole().await),
            ("give up", self.give_up_expired().await),
            ("remove", self.remove_strays().await),
        ];
        for (step, outcome) in outcomes {
            if let Err(error) = outcome {
                tracing::warn!(%error, step, "could not look after partial uploads");
            }
        }
    }

    /// Land those whose server ended, or whose store was away, when they were whole.
    async fn land_whole(&self) -> Result<(), ResumableError> {
        for partial in self.road.catalog.partials().whole(MAX_PER_PASS).await? {
            let id = partial.id;
            if let Err(error) = self.land_if_free(id).await {
                tracing::warn!(upload.id = %id, %error, "could not land an upload");
            }
        }
        Ok(())
    }

    async fn land_if_free(&self, id: UploadId) -> Result<(), ResumableError> {
        // The clients that are there come first; what is whole is not lost.
        let Ok(place) = self.take_place() else { return Ok(()) };
        let Some(mut file) = PartialFile::hold(&self.partial_dir, id).await.map_err(of_disk)? else { return Ok(()) };
        let Announced::Partial(partial) = self.find_announced(id).await? else { return Ok(()) };
        if !file.cut(partial.size_bytes).await.map_err(of_disk)? {
            tracing::error!(upload.id = %id, "the bytes of an upload are gone from the disk; it has to begin anew");
            self.road.catalog.partials().forget(id).await?;
            return Ok(());
        }
        self.land_held(*partial, file, place).await?;
        tracing::info!(upload.id = %id, "landed an upload that had come to a halt");
        Ok(())
    }

    async fn give_up_expired(&self) -> Result<(), ResumableError> {
        for partial in self.road.catalog.partials().expired(Utc::now(), MAX_PER_PASS).await? {
            let given_up = match partial.delivery {
                Delivery::Resumable => self.give_up_resumable(&partial).await,
                Delivery::Presigned => self.give_up_direct(&partial).await,
            };
            match given_up {
                Ok(true) => tracing::info!(upload.id = %partial.id, "gave up an upload that did not go on"),
                Ok(false) => {}
                Err(error) => tracing::warn!(upload.id = %partial.id, %error, "could not give up an upload"),
            }
        }
        Ok(())
    }

    async fn give_up_resumable(&self, partial: &PartialUpload) -> Result<bool, ResumableError> {
        let held = PartialFile::hold(&self.partial_dir, partial.id).await.map_err(of_disk)?;
        let Some(file) = held else { return Ok(false) };
        // Read again: it may have gone on before it was held.
        match self.road.catalog.partials().find(partial.id).await? {
            Some(found) if found.offset_bytes == partial.offset_bytes && found.expires_at == partial.expires_at => {}
            _ => return Ok(false),
        }
        self.road.catalog.partials().forget(partial.id).await?;
        file.remove().await.map_err(of_disk)?;
        Ok(true)
    }

    async fn give_up_direct(&self, partial: &PartialUpload) -> Result<bool, ResumableError> {
        if partial.expires_at + DIRECT_GRACE > Utc::now() {
            return Ok(false);
        }
        let path = Path::from(raw_path(&partial.table, &partial.options, partial.id));
        match self.road.pipeline.zones.get(ZoneName::Raw).store().delete(&path).await.map_err(StorageError::from) {
            Ok(()) | Err(StorageError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.road.catalog.partials().forget(partial.id).await?)
    }

    /// Remove the files whose upload landed or ended just before its server did.
    async fn remove_strays(&self) -> Result<(), ResumableError> {
        for id in list(&self.partial_dir, MAX_PER_PASS as usize).await.map_err(of_disk)? {
            if self.road.catalog.partials().find(id).await?.is_some() {
                continue;
            }
            // An upload is announced before it has a file, so that one without is over.
            if let Some(file) = PartialFile::hold(&self.partial_dir, id).await.map_err(of_disk)? {
                file.remove().await.map_err(of_disk)?;
            }
        }
        Ok(())
    }
}
