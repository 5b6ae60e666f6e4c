//! What is written of a group before its commit: its original and its data files.
//!
//! Invariant: both are durable when the writing returns, and nothing names them yet.

use std::sync::Arc;

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use object_store::{ObjectStoreExt as _, path::Path};
use sluice_domain::{Prepared, RowCounts, ZoneName};
use sluice_storage::StorageError;
use sluice_table::{StagedFiles, TableError, TableWriter};
use tokio::task::spawn_blocking;

use super::{GroupWriter, group::Group, request::Waiting};
use crate::{IngestError, contract::Admission, pipeline::Written, road::Target};

impl GroupWriter {
    /// Make the bytes of a group durable.
    pub(super) async fn keep(&self, group: &Group) -> Result<(), IngestError> {
        let (zone, path) = (self.road.pipeline.zones.get(ZoneName::Raw), &group.entered.upload.landed.raw_path);
        let put = zone.store().put(&Path::from(path.as_str()), group.lines.clone().into()).await;
        put.map(drop).map_err(|error| StorageError::from(error).into())
    }

    /// Write the rows of a group as files of its table.
    pub(super) async fn write(
        &self,
        target: &Target,
        group: &Group,
        requests: &[Waiting],
    ) -> Result<Written, IngestError> {
        let pipeline = &self.road.pipeline;
        let writer = pipeline.table_writer(group.entered.upload.id, &target.shape)?;
        let batches = requests.iter().filter_map(|request| request.batch.clone()).collect();
        let schema = target.shape.schema.clone();
        let staged = spawn_blocking(move || stage(writer, &schema, batches)).await;
        let staged = staged.map_err(|_| IngestError::lost_task("writer"))??;
        let prepared = Prepared { rows: RowCounts::all_committed(staged.rows()), ..Prepared::default() };
        let prepared = Admission::fixed(&target.shape, Arc::clone(&target.terms)).noted(prepared);
        Ok(Written { files: staged.upload(target.table.folder()).await?, prepared, is_of_upload: true, quality: None })
    }

    /// Remove what was written of a group that no ledger and no log knows of.
    pub(super) async fn remove(&self, group: &Group, target: &Target, files: &[String]) {
        self.remove_original(group).await;
        for file in files {
            let Ok(path) = Path::parse(file) else { continue };
            if let Err(error) = target.table.folder().store.delete(&path).await {
                tracing::warn!(%error, file.path = %file, "a file that no commit names could not be removed");
            }
        }
    }

    pub(super) async fn remove_original(&self, group: &Group) {
        let path = &group.entered.upload.landed.raw_path;
        let zone = self.road.pipeline.zones.get(ZoneName::Raw);
        if let Err(error) = zone.store().delete(&Path::from(path.as_str())).await {
            tracing::warn!(%error, file.path = %path, "an original that no upload has could not be removed");
        }
    }
}

fn stage(mut writer: TableWriter, schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<StagedFiles, TableError> {
    writer.write(&concat_batches(schema, &batches)?)?;
    writer.finish()
}
