//! The last stations of an upload into a plain table: names, ledger, files, catalog.
//!
//! Invariant: the names of an upload's files are in the ledger before a file is put, so that doing it again puts the
//! same names.
//! Invariant: files belong to the table from the one transaction on that says so; whoever lists the folder may see them
//! before.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::Utc;
use futures::{StreamExt as _, stream};
use object_store::path::Path;
use sluice_catalog::{CatalogError, CommitTry, PlainCommit};
use sluice_domain::{FileRecord, Prepared, RowCounts, UploadEntry};
use sluice_storage::{Folder, StorageError};
use sluice_table::{NamedFiles, PlainNames, StagedFiles, layout_of, layout_properties};

use crate::{
    IngestError,
    commit_queue::Outcome,
    contract::Admission,
    pipeline::{Shape, Staged},
    quarantine,
    road::{Road, Target},
};

mod entry;
mod tables;

pub(crate) use entry::{AddedFile, PlainEntry};
pub(crate) use tables::PlainTables;

/// How many entries of the ledger are read at a time.
const PAGE: u32 = 500;

impl Road {
    /// Write an upload's rows as files of a plain table, and enter them into the catalog.
    pub(crate) async fn place_plain(&self, upload: &UploadEntry, target: &Target) -> Result<Outcome, IngestError> {
        let admission = Admission::fixed(&target.shape, Arc::clone(&target.terms));
        let admission = admission.knowing(self.references(&target.terms).await);
        // Held until the scratch files are gone, as for every table.
        let _slot = self.pipeline.slot().await;
        let staged = self.pipeline.stage(upload, &admission).await;
        let Staged { files, aside } = self.noting_refusal(upload, target, staged).await?;
        let rows = RowCounts::all_committed(files.rows());
        let (prepared, quality) = self.pipeline.prepare(upload, rows, aside).await?;
        let prepared = admission.noted(prepared);
        self.note_quality(upload, target, quality.as_ref()).await?;
        let named = self.name_files(upload, target, files).await?;
        let files = records_of(&named, upload);
        let _turn = target.table.take_turn().await;
        if !self.still_fits(target).await? {
            return Ok(Outcome::StartOver);
        }
        let attempt = CommitTry { upload: upload.id, files: files.clone(), prepared: prepared.clone() };
        match self.catalog.uploads().begin_commits(target.entry.id, &[attempt]).await {
            Err(CatalogError::TableNotFound { .. }) => return Ok(Outcome::StartOver),
            begun => drop(begun?),
        }
        if upload.sequence.is_some() {
            self.remove_leftovers(upload, target, &files).await?;
        }
        named.put(target.table.folder()).await?;
        match self.catalog.uploads().commit_next(&commit_of(upload, target, &files, prepared)?).await {
            Ok(Some(entry)) => Ok(Outcome::Committed(Box::new(entry))),
            Ok(None) | Err(CatalogError::TableNotFound { .. }) => {
                let paths: Vec<String> = files.into_iter().map(|file| file.path).collect();
                self.remove_files(target, &paths).await?;
                Ok(Outcome::StartOver)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn name_files(
        &self,
        upload: &UploadEntry,
        target: &Target,
        staged: StagedFiles,
    ) -> Result<NamedFiles, IngestError> {
        let count = u32::try_from(staged.count().max(1)).unwrap_or(u32::MAX);
        let first = self.catalog.uploads().reserve_stamps(upload.id, count).await?;
        let table = target.entry.name.table.to_string();
        Ok(staged.named(PlainNames { table, first })?)
    }

    /// Whether the table has the columns that the files were written for, or none yet.
    async fn still_fits(&self, target: &Target) -> Result<bool, IngestError> {
        let latest = self.catalog.schemas().latest(target.entry.id).await?;
        Ok(latest.is_none_or(|latest| latest.schema == kept_schema(&target.shape)))
    }

    /// Remove what an earlier try of the upload may have put under other names.
    async fn remove_leftovers(
        &self,
        upload: &UploadEntry,
        target: &Target,
        files: &[FileRecord],
    ) -> Result<(), IngestError> {
        let kept: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut after: Option<String> = None;
        loop {
            let page = self.catalog.inventory().files(target.entry.id, after.as_deref(), PAGE).await?;
            let Some(last) = page.last().map(|file| file.path.clone()) else { return Ok(()) };
            let left = page.into_iter().filter(|file| file.upload == Some(upload.id) && !kept.contains(&*file.path));
            self.remove_files(target, &left.map(|file| file.path).collect::<Vec<_>>()).await?;
            after = Some(last);
        }
    }

    /// Remove files that no version has.
    async fn remove_files(&self, target: &Target, paths: &[String]) -> Result<(), IngestError> {
        if paths.is_empty() {
            return Ok(());
        }
        remove(target.table.folder(), paths).await?;
        Ok(self.catalog.inventory().forget_files(target.entry.id, paths).await?)
    }
}

async fn remove(folder: &Folder, paths: &[String]) -> Result<(), StorageError> {
    let paths: Vec<_> = paths.iter().map(|path| Path::parse(path).map_err(Into::into)).collect();
    let mut removed = folder.store.delete_stream(stream::iter(paths).boxed());
    while let Some(outcome) = removed.next().await {
        match outcome {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn records_of(named: &NamedFiles, upload: &UploadEntry) -> Vec<FileRecord> {
    named.records().into_iter().map(|record| FileRecord { upload: Some(upload.id), ..record }).collect()
}

impl Shape {
    /// The shape of a plain table, of the schema that the catalog keeps.
    pub(crate) fn of_plain(kept: arrow_schema::Schema, partition_by: &[String]) -> Self {
        let layout = layout_of(kept.metadata());
        Self { schema: Arc::new(kept.with_metadata(HashMap::new())), partition_by: partition_by.to_vec(), layout }
    }
}

/// The schema as the catalog keeps it, with the layout beside it.
fn kept_schema(shape: &Shape) -> arrow_schema::Schema {
    shape.schema.as_ref().clone().with_metadata(layout_properties(&shape.layout).into_iter().collect())
}

fn commit_of(
    upload: &UploadEntry,
    target: &Target,
    files: &[FileRecord],
    prepared: Prepared,
) -> Result<PlainCommit, IngestError> {
    let (rows, committed_at) = (prepared.rows, Utc::now());
    Ok(PlainCommit {
        table: target.entry.id,
        partition_by: target.shape.partition_by.clone(),
        schema: kept_schema(&target.shape),
        upload: upload.id,
        principal: upload.principal.clone(),
        rows,
        committed_at,
        content: PlainEntry::new(upload, committed_at, files).to_text()?,
        quarantined: quarantine::upload_of(&UploadEntry { prepared: Some(prepared), ..upload.clone() }),
    })
}
