//! The comparison: log entries, data files and original bytes against what the ledger says of them.
//!
//! Invariant: a server may go on committing meanwhile; what is newer than the ledger's word is no finding.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use object_store::{ObjectStoreExt as _, path::Path};
use sluice_domain::{FileRecord, PageRequest, TableEntry, TableFormat, UploadEntry, UploadState, ZoneName};
use sluice_storage::StorageError;
use sluice_table::{MaintenanceError, Table, object_path, read_facts};

use super::{
    Damage, Finding, Integrity,
    verify::{Verdict, verify},
};
use crate::{
    IngestError,
    plain::{AddedFile, PlainEntry},
};

/// Where checkpoints lie.
const LOG_PREFIX: &str = "_delta_log/";
/// How many entries of the ledger are read at a time.
const PAGE: u32 = 500;

/// Takes findings as they come.
pub(super) type Findings<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// The comparison of one table.
struct TableScrub<'a> {
    lake: &'a Integrity,
    entry: &'a TableEntry,
    table: Arc<Table>,
    found: Findings<'a>,
    /// How many objects were compared.
    objects: u64,
    /// Whether something of the log is damaged, so that the table need not be readable.
    broken_log: bool,
    /// The versions of the log that the ledger knows. Those before the oldest were cleaned up.
    known: BTreeSet<u64>,
    /// The checkpoints that do not say what the log says.
    bad_checkpoints: BTreeSet<String>,
    /// The ids of these.
    ids: BTreeSet<String>,
    /// The data files that these add.
    added: BTreeSet<Path>,
}

impl Integrity {
    /// Compare every table with the ledger; each finding is told as it comes. Gives how many objects were compared.
    ///
    /// # Errors
    /// The catalog's, or the store's where it does not answer: what was not read is not sound.
    pub async fn scrub(&self, found: Findings<'_>) -> Result<u64, IngestError> {
        let mut objects = 0;
        for entry in self.tables().await? {
            let mut scrub = TableScrub {
                lake: self,
                entry: &entry,
                table: self.shelf.get(&entry),
                found: &mut *found,
                objects: 0,
                broken_log: false,
                known: BTreeSet::new(),
                bad_checkpoints: BTreeSet::new(),
                ids: BTreeSet::new(),
                added: BTreeSet::new(),
            };
            match entry.format {
                TableFormat::Delta => {
                    scrub.log().await?;
                    scrub.checkpoints().await?;
                    scrub.files().await?;
                }
                TableFormat::Parquet => scrub.plain_files().await?,
            }
            scrub.originals().await?;
            objects += scrub.objects;
        }
        Ok(objects)
    }

    pub(super) async fn verify_raw(&self, upload: &UploadEntry) -> Result<Verdict, IngestError> {
        let landed = &upload.landed;
        let (store, path) = (self.zones.get(ZoneName::Raw).store(), Path::from(landed.raw_path.as_str()));
        Ok(verify(store, path, landed.size_bytes, &landed.sha256).await?)
    }
}

impl TableScrub<'_> {
    async fn log(&mut self) -> Result<(), IngestError> {
        // What is listed first is in the ledger by now, or soon.
        let present = self.table.log_versions().await?;
        self.known_entries().await?;
        for version in present.difference(&self.known).copied().collect::<Vec<_>>() {
            self.objects += 1;
            // One that is gone by now was cleaned up; a gap is looked for below.
            let Some(bytes) = self.table.read_entry_bytes(version).await? else { continue };
            match read_facts(&bytes) {
                Err(reason) => self.tell_entry(Damage::LogEntryDamaged, version, reason),
                Ok(facts) if facts.commit_id.clone().is_some_and(|id| !self.ids.insert(id)) => {
                    self.tell_entry(Damage::LogEntryDamaged, version, "it repeats another one");
                }
                Ok(_) => {}
            }
        }
        for version in self.gaps(&present) {
            self.tell_entry(Damage::LogEntryMissing, version, "there are newer ones, and nobody knows this one");
        }
        Ok(())
    }

    /// Compare the log entries that the ledger knows.
    async fn known_entries(&mut self) -> Result<(), IngestError> {
        let mut next = 0;
        loop {
            let records = self.lake.catalog.inventory().commits(self.entry.id, next, PAGE).await?;
            let Some(last) = records.last().map(|record| record.version) else { return Ok(()) };
            next = last + 1;
            for record in records {
                self.objects += 1;
                self.known.insert(record.version);
                // The ledger's own words name good paths.
                let facts = read_facts(record.content.as_bytes()).unwrap_or_default();
                self.added.extend(facts.added.iter().filter_map(|path| object_path(path).ok()));
                self.ids.extend(facts.commit_id);
                match self.table.read_entry_bytes(record.version).await? {
                    Some(bytes) if bytes == record.content.as_bytes() => {}
                    Some(bytes) => {
                        let detail = format!("it has {} bytes, which are not those committed", bytes.len());
                        self.tell_entry(Damage::LogEntryDamaged, record.version, detail);
                    }
                    None => {
                        let detail = "it was committed, and is not there";
                        self.tell_entry(Damage::LogEntryMissing, record.version, detail);
                    }
                }
            }
        }
    }

    /// Compare the files of a plain table, which the ledger alone names.
    async fn plain_files(&mut self) -> Result<(), IngestError> {
        let mut next = 0;
        loop {
            let records = self.lake.catalog.inventory().commits(self.entry.id, next, PAGE).await?;
            let Some(last) = records.last().map(|record| record.version) else { return Ok(()) };
            next = last + 1;
            for record in records {
                for file in PlainEntry::parse(&record.content)?.files {
                    let AddedFile { path, size_bytes, rows, sha256 } = file;
                    let Ok(place) = Path::parse(&path) else { continue };
                    self.file(&FileRecord { path, size_bytes, sha256, rows, upload: None }, place).await?;
                }
            }
        }
    }

    async fn checkpoints(&mut self) -> Result<(), IngestError> {
        match self.table.find_bad_checkpoints().await {
            Ok(bad) => {
                for bad in bad {
                    self.broken_log = true;
                    self.tell(Damage::CheckpointDamaged, &bad.path, bad.reason);
                    self.bad_checkpoints.insert(bad.path);
                }
                Ok(())
            }
            Err(MaintenanceError::BadLog { .. }) if self.broken_log => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Versions that are missing between those that are there, of which the ledger knows nothing either.
    fn gaps(&self, present: &BTreeSet<u64>) -> Vec<u64> {
        let oldest = self.known.first().or(present.first());
        let (Some(&oldest), Some(&newest)) = (oldest, present.last()) else { return Vec::new() };
        (oldest..newest).filter(|version| !present.contains(version) && !self.known.contains(version)).collect()
    }

    /// Compare the data files that a version still names.
    async fn files(&mut self) -> Result<(), IngestError> {
        let mut live = self.live_files().await;
        let mut after = None;
        loop {
            let records = self.lake.catalog.inventory().files(self.entry.id, after.as_deref(), PAGE).await?;
            let Some(last) = records.last().map(|record| record.path.clone()) else { break };
            after = Some(last);
            for record in records {
                let Ok(path) = Path::parse(&record.path) else { continue };
                let is_live = live.remove(&path).is_some();
                let is_checkpoint = record.path.starts_with(LOG_PREFIX);
                if is_checkpoint || is_live || self.added.contains(&path) {
                    self.file(&record, path).await?;
                }
            }
        }
        if self.broken_log {
            // What a damaged log says of them is worth nothing.
            return Ok(());
        }
        for (path, size_bytes) in live {
            self.unknown_file(path, size_bytes).await?;
        }
        Ok(())
    }

    async fn live_files(&mut self) -> BTreeMap<Path, u64> {
        match self.table.live_files().await {
            Ok(live) => live.into_iter().map(|file| (file.path, file.size_bytes)).collect(),
            Err(error) => {
                if !self.broken_log {
                    (self.found)(Finding::of_table(&self.entry.name, told(&error)));
                }
                BTreeMap::new()
            }
        }
    }

    async fn file(&mut self, record: &FileRecord, path: Path) -> Result<(), IngestError> {
        self.objects += 1;
        let store = Arc::clone(&self.table.folder().store);
        let is_checkpoint = record.path.starts_with(LOG_PREFIX);
        let (missing, damaged) = match is_checkpoint {
            true => (Damage::CheckpointDamaged, Damage::CheckpointDamaged),
            false => (Damage::FileMissing, Damage::FileDamaged),
        };
        match verify(store, path, record.size_bytes, &record.sha256).await? {
            _ if is_checkpoint && self.bad_checkpoints.contains(&record.path) => {}
            Verdict::Same => {}
            Verdict::Missing => self.tell(missing, &record.path, "it was written, and is not there"),
            Verdict::Differs(detail) => self.tell(damaged, &record.path, detail),
        }
        Ok(())
    }

    /// A file that the ledger does not know: of its own loss, or of another writer.
    async fn unknown_file(&mut self, path: Path, size_bytes: u64) -> Result<(), IngestError> {
        self.objects += 1;
        match self.table.folder().store.head(&path).await {
            Ok(meta) if meta.size == size_bytes => {}
            Ok(meta) => {
                self.tell(Damage::FileDamaged, path, format!("it has {} bytes, not {size_bytes}", meta.size));
            }
            Err(object_store::Error::NotFound { .. }) => self.tell(Damage::FileMissing, path, "it is not there"),
            Err(error) => return Err(StorageError::from(error).into()),
        }
        Ok(())
    }

    /// Compare the original bytes of every upload to the table.
    async fn originals(&mut self) -> Result<(), IngestError> {
        let mut page = PageRequest { size: PAGE, token: None };
        loop {
            let uploads = self.lake.catalog.uploads().list(&self.entry.name, &page).await?;
            for upload in uploads.items.iter().filter(|upload| upload.state != UploadState::Failed) {
                let object = self.lake.catalog.stored_objects().find(&upload.landed.raw_path).await?;
                // What a lifecycle rule removed is not missing, and what it archived cannot be read at once.
                if object.expired_at.is_some() || !(object.simulated || object.class.is_readable()) {
                    continue;
                }
                self.objects += 1;
                match self.lake.verify_raw(upload).await? {
                    Verdict::Same => {}
                    Verdict::Missing => {
                        self.tell(Damage::RawMissing, &upload.landed.raw_path, "it came in, and is not there");
                    }
                    Verdict::Differs(detail) => self.tell(Damage::RawDamaged, &upload.landed.raw_path, detail),
                }
            }
            let Some(next) = uploads.next else { return Ok(()) };
            page.token = Some(next);
        }
    }

    fn tell(&mut self, kind: Damage, path: impl ToString, detail: impl Into<String>) {
        (self.found)(Finding::of_object(&self.entry.name, kind, path, detail));
    }

    fn tell_entry(&mut self, kind: Damage, version: u64, detail: impl Into<String>) {
        self.broken_log = true;
        (self.found)(Finding::of_entry(&self.entry.name, kind, version, detail));
    }
}

/// An error with its causes.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
