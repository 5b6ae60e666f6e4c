//! The comparison: log entries, data files and original bytes against what the ledger says of them.
//!
//! Invariant: a server may go on committing meanwhile; what is newer than the ledger's word is no finding.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use object_store::{ObjectStoreExt as _, path::Path};
use sluice_domain::{FileRecord, PageRequest, TableEntry, UploadEntry, UploadState, ZoneName};
use sluice_storage::StorageError;
use sluice_table::{Table, added_paths, object_path};

use super::{
    Damage, Finding, Integrity,
    verify::{Verdict, verify},
};
use crate::IngestError;

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
                added: BTreeSet::new(),
            };
            scrub.log().await?;
            scrub.files().await?;
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
            let bytes = self.table.read_entry_bytes(version).await?.unwrap_or_default();
            if let Err(reason) = added_paths(&bytes) {
                self.tell_entry(Damage::LogEntryDamaged, version, reason);
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
                let paths = added_paths(record.content.as_bytes()).unwrap_or_default();
                self.added.extend(paths.iter().filter_map(|path| object_path(path).ok()));
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
                if is_live || self.added.contains(&path) {
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
        match verify(store, path, record.size_bytes, &record.sha256).await? {
            Verdict::Same => {}
            Verdict::Missing => self.tell(Damage::FileMissing, &record.path, "it was written, and is not there"),
            Verdict::Differs(detail) => self.tell(Damage::FileDamaged, &record.path, detail),
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
