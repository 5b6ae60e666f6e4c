//! The ways back: log entries from the ledger, data files from the original bytes.
//!
//! Invariant: what takes the place of a damaged object has the size and the hash that the ledger knows.

use std::{collections::BTreeMap, time::Duration};

use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, path::Path};
use sluice_domain::{FileRecord, TableEntry, TableFormat, UploadEntry, UploadId};
use sluice_storage::{Folder, Lease, StorageError};
use sluice_table::{BadCheckpoint, Description, PlainNames, Table, TableError};

use super::{Damage, Finding, Integrity, Repair, scrub::told, verify::Verdict};
use crate::{IngestError, pipeline::Shape, upkeep::MAINTENANCE};

/// How long a repair of checkpoints may take.
const LEASE_TTL: Duration = Duration::from_secs(60);
/// The folder in which data files are made anew.
const REPAIR_FOLDER: &str = "_sluice/repair";

impl Integrity {
    /// Compare every table with the ledger, and put right what can be; each outcome is told as it comes.
    ///
    /// # Errors
    /// The catalog's, or the store's.
    pub async fn repair(&self, tell: &mut (dyn FnMut(Repair) + Send)) -> Result<(), IngestError> {
        let mut findings = Vec::new();
        self.scrub(&mut |finding| findings.push(finding)).await?;
        for entry in self.tables().await? {
            let of_table = |finding: &Finding| finding.table == entry.name;
            let (log, rest): (Vec<_>, Vec<_>) = findings
                .iter()
                .filter(|finding| of_table(finding))
                .cloned()
                .partition(|finding| finding.version.is_some());
            // The newest first: an entry that is none hides those below it.
            for finding in log.into_iter().rev() {
                tell(self.repair_entry(&entry, finding).await?);
            }
            let (checkpoints, rest) = rest.into_iter().partition(|finding| finding.kind == Damage::CheckpointDamaged);
            self.repair_checkpoints(&entry, checkpoints, tell).await?;
            let (files, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(Finding::is_of_file);
            self.repair_files(&entry, files, tell).await?;
            for finding in others {
                tell(finding.left("nothing else holds these bytes"));
            }
        }
        Ok(())
    }

    async fn repair_entry(&self, entry: &TableEntry, finding: Finding) -> Result<Repair, IngestError> {
        let Some(version) = finding.version else { return Ok(finding.left("it names no version")) };
        let table = self.shelf.get(entry);
        let known = self.catalog.inventory().commits(entry.id, version, 1).await?.pop();
        if let Some(record) = known.filter(|record| record.version == version) {
            table.restore_entry(version, &record.content).await?;
            return Ok(finding.repaired("from the ledger"));
        }
        let newest = self.catalog.inventory().newest_commit(entry.id).await?;
        let is_tail = table.log_versions().await?.last() == Some(&version);
        if finding.kind == Damage::LogEntryDamaged && is_tail && newest.is_none_or(|newest| newest < version) {
            table.set_entry_aside(version).await?;
            return Ok(finding.repaired("set aside: it is no commit that the ledger knows of"));
        }
        Ok(finding.left("the ledger does not know what it held"))
    }

    /// Take damaged checkpoints away: the log tells the same, only slower.
    async fn repair_checkpoints(
        &self,
        entry: &TableEntry,
        findings: Vec<Finding>,
        tell: &mut (dyn FnMut(Repair) + Send),
    ) -> Result<(), IngestError> {
        if findings.is_empty() {
            return Ok(());
        }
        let table = self.shelf.get(entry);
        let Some(lease) = Lease::acquire(table.folder(), MAINTENANCE, self.catalog.writer(), LEASE_TTL).await? else {
            findings.into_iter().for_each(|finding| tell(finding.left("a server maintains the table; try again")));
            return Ok(());
        };
        let work = async {
            let bad = table.find_bad_checkpoints().await?;
            for finding in findings {
                let path = finding.path.clone().unwrap_or_default();
                let judged = bad.iter().find(|bad| bad.path == path).cloned();
                // One that says what the log says, in other bytes than were written, goes too.
                let Some(bad) = judged.or_else(|| BadCheckpoint::at(&path, &finding.detail)) else {
                    tell(finding.left("it is no checkpoint"));
                    continue;
                };
                tell(match table.set_checkpoint_aside(&lease, &bad).await {
                    Ok(()) => {
                        self.catalog.inventory().forget_files(entry.id, &[bad.path]).await?;
                        finding.repaired("set aside: the log tells the same")
                    }
                    Err(error) => finding.left(&told(&error)),
                });
            }
            Ok::<(), IngestError>(())
        };
        lease.hold(work).await?;
        lease.release().await?;
        table.forget_snapshot().await;
        Ok(())
    }

    async fn repair_files(
        &self,
        entry: &TableEntry,
        findings: Vec<Finding>,
        tell: &mut (dyn FnMut(Repair) + Send),
    ) -> Result<(), IngestError> {
        let mut damaged: BTreeMap<UploadId, Vec<(Finding, FileRecord)>> = BTreeMap::new();
        for finding in findings {
            match self.find_record(entry, &finding).await? {
                Some(record) => match record.upload {
                    Some(upload) => damaged.entry(upload).or_default().push((finding, record)),
                    None => tell(finding.left("a table operation wrote it: no upload holds its rows")),
                },
                None => tell(finding.left("the ledger does not know who wrote it")),
            }
        }
        for (upload, files) in damaged {
            for outcome in self.rewrite(entry, upload, files).await? {
                tell(outcome);
            }
        }
        Ok(())
    }

    async fn find_record(&self, entry: &TableEntry, finding: &Finding) -> Result<Option<FileRecord>, IngestError> {
        let Some(path) = &finding.path else { return Ok(None) };
        Ok(self.catalog.inventory().file(entry.id, path).await?)
    }

    /// Make an upload's files anew beside the table, and put those that were damaged in their places.
    async fn rewrite(
        &self,
        entry: &TableEntry,
        upload: UploadId,
        files: Vec<(Finding, FileRecord)>,
    ) -> Result<Vec<Repair>, IngestError> {
        let leave = |note: &str| files.iter().map(|(finding, _)| finding.clone().left(note)).collect();
        let upload = self.catalog.uploads().find(upload).await?;
        if self.verify_raw(&upload).await? != Verdict::Same {
            return Ok(leave("the original bytes are damaged too"));
        }
        let table = self.shelf.get(entry);
        let shape = match self.shape_of(entry, &table, upload.version).await {
            Ok(shape) => shape,
            Err(error) => return Ok(leave(&format!("the table's columns cannot be read: {}", told(&error)))),
        };
        let place = format!("{}/{REPAIR_FOLDER}/{}", entry.path, upload.id);
        let scratch = self.zones.get(entry.zone).folder(&place);
        let outcome = match self.make_anew(entry, &upload, &shape, &scratch).await {
            Ok(made) => {
                let mut outcomes = Vec::new();
                for (finding, record) in files {
                    let is_same = made.get(&record.path) == Some(&record.sha256);
                    outcomes.push(match Path::parse(&record.path) {
                        Ok(path) if is_same => {
                            put_back(&table, &scratch, &path).await?;
                            finding.repaired("from the original bytes")
                        }
                        _ => finding.left("the original bytes do not give the same file any more"),
                    });
                }
                outcomes
            }
            Err(error) => leave(&format!("the original bytes cannot be read: {}", told(&error))),
        };
        clear(&scratch).await?;
        Ok(outcome)
    }

    /// Write an upload's files into a folder of their own; gives the hash of each by the path that it has in the table.
    async fn make_anew(
        &self,
        entry: &TableEntry,
        upload: &UploadEntry,
        shape: &Shape,
        scratch: &Folder,
    ) -> Result<BTreeMap<String, String>, IngestError> {
        let _slot = self.pipeline.slot().await;
        let admission = self.pipeline.admit_again(upload, shape).await?;
        let staged = match upload.options.write.is_keyed() {
            true => self.pipeline.stage_keyed(upload, &admission).await?.0,
            false => self.pipeline.stage(upload, &admission).await?.files,
        };
        if entry.format == TableFormat::Delta {
            let files = staged.upload(scratch).await?;
            return Ok(files.iter().map(|file| (file.path().to_owned(), file.sha256().to_owned())).collect());
        }
        let count = u32::try_from(staged.count().max(1)).unwrap_or(u32::MAX);
        let first = self.catalog.uploads().reserve_stamps(upload.id, count).await?;
        let named = staged.named(PlainNames { table: entry.name.table.to_string(), first })?;
        let made = named.records().into_iter().map(|record| (record.path, record.sha256)).collect();
        named.put(scratch).await?;
        Ok(made)
    }

    /// The columns that the files of a version were written with.
    async fn shape_of(&self, entry: &TableEntry, table: &Table, version: Option<u64>) -> Result<Shape, IngestError> {
        if entry.format == TableFormat::Parquet {
            let latest = self.catalog.schemas().latest(entry.id).await?.ok_or(TableError::NotCreated)?;
            return Ok(Shape::of_plain(latest.schema, &entry.partition_by));
        }
        let description = match table.describe(version).await {
            Ok(description) => description,
            // Its log entry was cleaned up.
            Err(_) if version.is_some() => table.describe(None).await?,
            Err(error) => return Err(error.into()),
        };
        let Description { schema, partition_by, layout, .. } = description;
        Ok(Shape { schema, partition_by, layout })
    }
}

impl Finding {
    fn is_of_file(&self) -> bool {
        matches!(self.kind, Damage::FileMissing | Damage::FileDamaged)
    }

    fn repaired(self, note: &str) -> Repair {
        Repair { finding: self, repaired: true, note: note.to_owned() }
    }

    fn left(self, note: &str) -> Repair {
        Repair { finding: self, repaired: false, note: note.to_owned() }
    }
}

/// Put a file that was made anew in its place; the damaged one is kept aside.
async fn put_back(table: &Table, scratch: &Folder, path: &Path) -> Result<(), IngestError> {
    table.copy_aside(path).await?;
    let below: Path = scratch.path.parts().chain(path.parts()).collect();
    let place: Path = table.folder().path.parts().chain(path.parts()).collect();
    // The table's own view reaches both: the folder of repairs lies below it.
    table.folder().root.copy(&below, &place).await.map_err(StorageError::from)?;
    Ok(())
}

/// Delete what was made anew.
async fn clear(scratch: &Folder) -> Result<(), IngestError> {
    let listed = scratch.store.list(None);
    let paths: Vec<Path> = listed.map_ok(|meta| meta.location).try_collect().await.map_err(StorageError::from)?;
    for path in paths {
        scratch.store.delete(&path).await.map_err(StorageError::from)?;
    }
    Ok(())
}
