//! Uploads whose rows are looked at by their keys: on their way from bytes to files.

use std::sync::Arc;

use sluice_domain::{RowCounts, UploadEntry};
use sluice_storage::Folder;
use sluice_table::{RowChanges, Source, SourceWriter, StagedFiles, Workspace};
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::{
    IngestError,
    contract::Admission,
    pipeline::{Aside, BATCHES_AHEAD, Pipeline, Written, both, joined},
    write_mode::{counts_of, rule},
};

/// The rows of an upload with their keys, in scratch files, and its bad rows.
pub(crate) struct StagedSource {
    source: Source,
    aside: Aside,
}

impl Pipeline {
    /// The upload's rows with their keys, in scratch files.
    async fn stage_source(&self, entry: &UploadEntry, admission: &Admission) -> Result<StagedSource, IngestError> {
        let (columns, shape) = (Arc::clone(&admission.wanted), &admission.shape);
        let rule = rule(&entry.options.write, &columns, &shape.schema)?;
        let mut writer = SourceWriter::open(rule, &columns, &self.scratch_dir)?;
        let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let decoding = self.decode(entry, admission, sender)?;
        let writing = spawn_blocking(move || {
            while let Some(batch) = batches.blocking_recv() {
                writer.write(&batch)?;
            }
            writer.finish()
        });
        let (source, decoded) = both(decoding, writing).await?;
        let aside = decoded.finish(source.rows())?;
        Ok(StagedSource { source, aside })
    }

    /// Write the rows that stand for their keys within the upload, as files below a folder.
    pub(crate) async fn write_keyed(
        &self,
        entry: &UploadEntry,
        admission: &Admission,
        folder: &Folder,
    ) -> Result<Written, IngestError> {
        let (staged, rows, aside) = self.stage_keyed(entry, admission).await?;
        let files = staged.upload(folder).await?;
        let counts = counts_of(rows, entry.options.write.mode);
        let (prepared, quality) = self.prepare(entry, counts, aside).await?;
        Ok(Written { files, prepared: admission.noted(prepared), is_of_upload: true, quality })
    }

    /// The rows that stand for their keys within the upload, in scratch files. To be called with a slot.
    pub(crate) async fn stage_keyed(
        &self,
        entry: &UploadEntry,
        admission: &Admission,
    ) -> Result<(StagedFiles, RowChanges, Aside), IngestError> {
        let StagedSource { source, aside } = self.stage_source(entry, admission).await?;
        let writer = self.table_writer(entry.id, &admission.shape)?;
        let table = admission.shape.schema.clone();
        let writing = spawn_blocking(move || source.write_first(&table, writer));
        let (staged, rows) = joined(writing, "writer").await??;
        Ok((staged, rows, aside))
    }

    /// The upload's rows, to be brought into a table that has rows already.
    pub(crate) async fn stage_merge(
        &self,
        entry: &UploadEntry,
        admission: &Admission,
    ) -> Result<(Arc<Source>, Written), IngestError> {
        let _slot = self.slots.acquire().await;
        let StagedSource { source, aside } = self.stage_source(entry, admission).await?;
        let (prepared, quality) = self.prepare(entry, RowCounts::default(), aside).await?;
        Ok((Arc::new(source), Written { prepared: admission.noted(prepared), quality, ..Written::default() }))
    }

    /// What an operation for this upload may use.
    pub(crate) fn workspace(&self, entry: &UploadEntry) -> Workspace {
        let upload_id = Some(entry.id.0);
        Workspace { upload_id, writer: self.settings.writer.clone(), ..Workspace::new(self.scratch_dir.clone()) }
    }
}
