//! Quarantined rows that are sent again, as they are or mended, and those that nobody wants any more.
//!
//! Invariant: a row that was replayed is in the table once, and leaves quarantine after it is there.

use std::{path::Path, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use chrono::Utc;
use futures::{StreamExt as _, stream};
use sluice_catalog::{CatalogError, NewUpload};
use sluice_domain::{
    Compression, FileRecord, Format, Grant, LogRecord, ReadOptions, Receipt, Replay, TableEntry, TableRef, UploadEntry,
    UploadId, ZoneName,
};
use sluice_table::{
    DataFile, Delete, Matched, Merge, MergeRule, Operation, Provenance, SourceWriter, TableError, Workspace,
};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{Ingest, IngestError, UploadFailure, in_flight::Subject, land::Intake};

/// How many replays are tidied up in one pass.
const MAX_PER_PASS: u32 = 100;

/// Rows of one upload that are wanted in the table after all.
#[derive(Debug, Clone)]
pub struct ReplayRequest {
    /// The table.
    pub table: TableRef,
    /// The upload that they came with.
    pub source: UploadId,
    /// What their records are now.
    pub format: ReplayFormat,
    /// Their numbers, and their records.
    pub rows: Vec<(u64, String)>,
}

/// How the records of a replay are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplayFormat {
    /// As lines of the delimited text that they came in.
    Csv,
    /// As JSON objects.
    Json,
}

impl Ingest {
    /// Add quarantined rows to their table, and take them out of quarantine. Those that are bad still come back into it,
    /// with the upload of the replay.
    ///
    /// # Errors
    /// Why nothing was committed; [`CatalogError::KeyTaken`] where a row was replayed before.
    pub async fn replay(&self, grant: &Grant, request: ReplayRequest) -> Result<Receipt, UploadFailure> {
        let place = self.take_place()?;
        self.road.pipeline.check_space().map_err(IngestError::from)?;
        let source = self.source_of(&request).await?;
        let (options, body) = self.content(&source, &request).await?;
        let id = UploadId(Uuid::now_v7());
        let claim = self.in_flight.claim(Subject::Upload(id)).ok_or(IngestError::KeyInFlight)?;
        let started_at = Utc::now();
        let body = stream::iter([Ok(Bytes::from(body))]).boxed();
        let raw_path = format!("uploads/{}/{}/{id}.{}", request.table.namespace, request.table.table, options.format);
        let pipeline = &self.road.pipeline;
        let landed = Intake::new(body, &pipeline.settings).land(pipeline.zones.get(ZoneName::Raw), raw_path).await?;
        let new = NewUpload {
            id,
            table: request.table,
            principal: grant.principal().to_owned(),
            idempotency_key: None,
            file_name: Some(format!("replay of {}", source.id)),
            options,
            landed,
            started_at,
        };
        let replay = Replay { source: source.id, rows: request.rows.into_iter().map(|(number, _)| number).collect() };
        let entry = self.road.catalog.replays().land(&new, &replay).await?;
        let receipt = self.finish(entry.clone(), false, (place, claim)).await?;
        if let Err(error) = self.remove_replayed(&entry, &replay).await {
            tracing::warn!(upload.id = %id, %error, "replayed rows are still in quarantine; they leave it later");
        }
        Ok(receipt)
    }

    /// Throw quarantined rows away: those of one upload, or all; how many there were.
    ///
    /// # Errors
    /// The catalog's, or the store's.
    pub async fn purge(&self, table: &TableRef, source: Option<UploadId>) -> Result<u64, IngestError> {
        let predicate = source.map_or_else(|| "true".to_owned(), |source| format!("upload_id = '{source}'"));
        let quarantine = self.quarantine_of(table).await?;
        self.delete_from(&quarantine, &Operation::Delete(Delete { predicate })).await
    }

    /// Take rows out of quarantine that were replayed and are still there, because a server ended in between.
    pub(crate) async fn remove_all_replayed(&self) -> Result<(), IngestError> {
        for (entry, replay) in self.road.catalog.replays().unremoved(MAX_PER_PASS).await? {
            // One that is being finished does this itself.
            let Some(_claim) = self.in_flight.claim(Subject::Upload(entry.id)) else { continue };
            self.remove_replayed(&entry, &replay).await?;
        }
        Ok(())
    }

    async fn remove_replayed(&self, entry: &UploadEntry, replay: &Replay) -> Result<(), IngestError> {
        match self.quarantine_of(&entry.table).await {
            Ok(quarantine) => {
                let (replay, scratch_dir) = (replay.clone(), self.road.pipeline.scratch_dir.clone());
                let removal = spawn_blocking(move || removal(&replay, &scratch_dir)).await;
                let removal = removal.map_err(|_| IngestError::lost_task("removal"))??;
                self.delete_from(&quarantine, &removal).await?;
            }
            Err(IngestError::Catalog(CatalogError::TableNotFound { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(self.road.catalog.replays().removed(entry.id).await?)
    }

    async fn quarantine_of(&self, table: &TableRef) -> Result<TableEntry, IngestError> {
        let missing = || CatalogError::TableNotFound { name: format!("{table}__quarantine") };
        Ok(self.road.catalog.tables().find(&table.quarantine().ok_or_else(missing)?).await?)
    }

    async fn delete_from(&self, entry: &TableEntry, operation: &Operation) -> Result<u64, IngestError> {
        let table = self.road.shelf.get(entry);
        self.road.tails.check(entry.id, &table).await?;
        let workspace = Workspace::new(self.road.pipeline.scratch_dir.clone());
        let inventory = self.road.catalog.inventory();
        let enter = async |files: Vec<DataFile>| {
            let records: Vec<FileRecord> = files.iter().map(|file| file.record(None)).collect();
            inventory.enter_files(entry.id, &records).await.map_err(|error| TableError::Encode(Box::new(error)))
        };
        let applied = table.apply(operation, &workspace, &Provenance::default(), enter).await?;
        if let Some(committed) = applied.entry {
            let entered = LogRecord { version: committed.version, content: committed.text() };
            inventory.enter_commit(entry.id, &entered).await?;
        }
        Ok(applied.rows.deleted)
    }

    async fn source_of(&self, request: &ReplayRequest) -> Result<UploadEntry, IngestError> {
        let source = self.road.catalog.uploads().find(request.source).await?;
        if source.table == request.table {
            return Ok(source);
        }
        Err(CatalogError::UploadNotFound { upload: request.source }.into())
    }

    /// The records as a file, and how it is read: as the upload that they came with was.
    async fn content(
        &self,
        source: &UploadEntry,
        request: &ReplayRequest,
    ) -> Result<(ReadOptions, String), IngestError> {
        let records = request.rows.iter().map(|(_, record)| record.as_str());
        let options = ReadOptions { compression: Compression::Identity, ..source.options.clone() };
        if request.format == ReplayFormat::Json {
            // No line ends but those between the tokens of a JSON text, which are blanks like any other.
            let lines = records.map(|record| record.replace(['\n', '\r'], " ") + "\n");
            return Ok((ReadOptions { format: Format::Ndjson, ..options }, lines.collect()));
        }
        let lines = records.map(|record| format!("{record}\n"));
        let header = self.road.pipeline.header(source).await?;
        Ok((options, header.into_iter().chain(lines).collect()))
    }
}

/// The operation that takes these rows out of a quarantine. Blocks.
fn removal(replay: &Replay, scratch_dir: &Path) -> Result<Operation, TableError> {
    let source = replay.source.to_string();
    let uploads: ArrayRef = Arc::new(StringArray::from_iter_values(replay.rows.iter().map(|_| &source)));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(replay.rows.iter().map(|row| row.cast_signed())));
    let keys = ["upload_id", "row_number"];
    let rows = RecordBatch::try_from_iter_with_nullable([(keys[0], uploads, true), (keys[1], numbers, true)]);
    let rows = rows.map_err(|error| TableError::Encode(Box::new(error)))?;
    let rule = MergeRule { matched: Matched::Delete, insert: false, ..MergeRule::upsert(&keys) };
    let mut writer = SourceWriter::open(rule, &rows.schema(), scratch_dir)?;
    writer.write(&rows)?;
    Ok(Operation::Merge(Merge { source: Arc::new(writer.finish()?) }))
}
