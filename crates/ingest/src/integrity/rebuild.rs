//! The catalog made anew from the lake alone: tables, schema history, uploads, files, as the logs tell of them.
//!
//! Invariant: the lake is read, and nothing in it is changed.
//! Invariant: a table is entered whole or not at all; what cannot be read is told and left out.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore, path::Path};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sluice_catalog::{CatalogError, CommittedUpload, FoundTable, NewSchemaVersion, NewUpload};
use sluice_domain::{
    Compression, FileRecord, Format, Landed, LogRecord, ReadOptions, RowCounts, TableEntry, TableFormat, TableId,
    TableRef, TableState, UploadId, ZoneName,
};
use sluice_storage::{StorageError, read_object};
use sluice_table::{Table, UploadPart, VersionEntry};
use uuid::Uuid;

use super::Integrity;
use crate::IngestError;

/// Where tables lie below a zone.
const TABLES: &str = "tables";
/// Where original bytes lie below the raw zone.
const UPLOADS: &str = "uploads";
/// How many versions are read at a time.
const VERSIONS: u32 = 1000;
/// Who made what nobody is known to have made.
const UNKNOWN: &str = "unknown";

/// What was found of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltTable {
    /// Its name.
    pub table: TableRef,
    /// Its id.
    pub id: TableId,
    /// `active`, or `deleted` where a newer table has its name.
    pub state: TableState,
    /// How many versions its log has.
    pub versions: u64,
    /// How many schemas it had.
    pub schemas: u64,
    /// How many uploads its log names.
    pub uploads: u64,
    /// How many data files it has.
    pub files: u64,
    /// The uploads whose original bytes are not there.
    pub missing_originals: Vec<UploadId>,
    /// Why it is left out, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// A table's folder.
struct Place {
    zone: ZoneName,
    name: TableRef,
    id: TableId,
    path: String,
}

impl Integrity {
    /// Enter every Delta table of the lake into a catalog that is new, and tell of each. Which of several tables of a
    /// name was deleted, the lake does not tell: the one that was committed to last is taken for the living one.
    ///
    /// # Errors
    /// A catalog that holds something; the store's and the catalog's.
    pub async fn rebuild(&self, tell: &mut (dyn FnMut(&RebuiltTable) + Send)) -> Result<(), IngestError> {
        if !self.catalog.rebuilding().is_new().await? {
            let reason = "it holds something already".to_owned();
            return Err(CatalogError::Corrupt { what: "new catalog", reason }.into());
        }
        for zone in [ZoneName::Raw, ZoneName::Curated] {
            let store = self.zones.get(zone).store();
            for namespace in folders(&*store, &Path::from(TABLES)).await? {
                for table in folders(&*store, &namespace).await? {
                    self.rebuild_name(zone, &table, tell).await?;
                }
            }
        }
        Ok(())
    }

    /// All tables that have or had this name.
    async fn rebuild_name(
        &self,
        zone: ZoneName,
        folder: &Path,
        tell: &mut (dyn FnMut(&RebuiltTable) + Send),
    ) -> Result<(), IngestError> {
        let store = self.zones.get(zone).store();
        let mut found: Vec<(DateTime<Utc>, Place, Vec<VersionEntry>)> = Vec::new();
        for path in folders(&*store, folder).await? {
            let Some(place) = Place::of(zone, &path) else { continue };
            match self.versions(&place).await {
                Ok(versions) => {
                    let newest = versions.last().and_then(|version| version.committed_at).unwrap_or_default();
                    found.push((newest, place, versions));
                }
                Err(error) => tell(&place.left_out(&error)),
            }
        }
        found.sort_by_key(|(newest, ..)| *newest);
        let last = found.len();
        for (number, (_, place, versions)) in found.into_iter().enumerate() {
            let state = if number + 1 == last { TableState::Active } else { TableState::Deleted };
            match self.gather(&place, state, versions).await {
                Ok((found, told)) => {
                    self.catalog.rebuilding().enter_found(&found).await?;
                    tell(&told);
                }
                Err(error) => tell(&place.left_out(&error)),
            }
        }
        Ok(())
    }

    fn table(&self, place: &Place) -> std::sync::Arc<Table> {
        self.shelf.get_at(place.id, place.zone, &place.path)
    }

    /// The versions whose entries are there, the oldest first.
    async fn versions(&self, place: &Place) -> Result<Vec<VersionEntry>, IngestError> {
        let (table, mut versions, mut before) = (self.table(place), Vec::new(), None);
        loop {
            let page = table.versions(before, VERSIONS).await?;
            let is_last = page.len() < VERSIONS as usize;
            before = page.last().map(|entry| entry.version);
            versions.extend(page);
            if is_last || before == Some(0) {
                versions.reverse();
                return Ok(versions);
            }
        }
    }

    async fn gather(
        &self,
        place: &Place,
        state: TableState,
        versions: Vec<VersionEntry>,
    ) -> Result<(FoundTable, RebuiltTable), IngestError> {
        let table = self.table(place);
        let description = table.describe(None).await?;
        let originals = self.originals(&place.name).await?;
        let (mut uploads, mut missing_originals) = (Vec::new(), Vec::new());
        for version in &versions {
            for part in &version.uploads {
                let Ok(id) = part.id.parse::<UploadId>() else { continue };
                let original = originals.get(&id);
                missing_originals.extend(original.is_none().then_some(id));
                uploads.push(upload_of(&place.name, id, part, version, original));
            }
        }
        let owner = uploads.first().map_or_else(|| UNKNOWN.to_owned(), |(upload, _)| upload.principal.clone());
        let found = FoundTable {
            schemas: schemas(&table, place.id, &versions).await?,
            files: self.files(place, &table).await?,
            log: log(&table, &versions).await?,
            entry: TableEntry {
                id: place.id,
                name: place.name.clone(),
                zone: place.zone,
                path: place.path.clone(),
                format: TableFormat::Delta,
                partition_by: description.partition_by,
                description: None,
                owner,
                state,
                created_at: versions.first().and_then(|version| version.committed_at).unwrap_or_default(),
                updated_at: Utc::now(),
                deleted_at: None,
            },
            uploads,
        };
        let told = RebuiltTable {
            table: place.name.clone(),
            id: place.id,
            state,
            versions: versions.len() as u64,
            schemas: found.schemas.len() as u64,
            uploads: found.uploads.len() as u64,
            files: found.files.len() as u64,
            missing_originals,
            left_out: None,
        };
        Ok((found, told))
    }

    /// The original bytes of the uploads into a table of this name.
    async fn originals(&self, name: &TableRef) -> Result<HashMap<UploadId, ObjectMeta>, IngestError> {
        let store = self.zones.get(ZoneName::Raw).store();
        let folder = Path::from(format!("{UPLOADS}/{}/{}", name.namespace, name.table));
        let objects: Vec<ObjectMeta> = store.list(Some(&folder)).try_collect().await.map_err(StorageError::from)?;
        let id = |object: &ObjectMeta| object.location.filename()?.split('.').next()?.parse().ok();
        Ok(objects.into_iter().filter_map(|object| Some((id(&object)?, object))).collect())
    }

    /// The data files, with the hashes of what they are now.
    async fn files(&self, place: &Place, table: &Table) -> Result<Vec<FileRecord>, IngestError> {
        let (folder, mut records) = (table.folder(), Vec::new());
        for file in table.live_files().await? {
            let mut bytes =
                std::pin::pin!(read_object(folder.store.clone(), file.path.clone(), file.size_bytes).await?);
            let mut hasher = Sha256::new();
            while let Some(piece) = bytes.try_next().await? {
                hasher.update(&piece);
            }
            let name = file.path.filename().unwrap_or_default();
            tracing::debug!(table.name = %place.name, file = name, "hashed");
            records.push(FileRecord {
                upload: name.get(..36).and_then(|id| id.parse().ok()),
                path: file.path.to_string(),
                size_bytes: file.size_bytes,
                sha256: hex::encode(hasher.finalize()),
                rows: file.rows.unwrap_or_default(),
            });
        }
        Ok(records)
    }
}

impl Place {
    /// The place that a folder's path names: `tables/{namespace}/{table}/{id}`.
    fn of(zone: ZoneName, path: &Path) -> Option<Self> {
        let parts: Vec<String> = path.parts().map(|part| part.as_ref().to_owned()).collect();
        let [_, namespace, table, id] = parts.as_slice() else { return None };
        let id = TableId(id.parse::<Uuid>().ok()?);
        Some(Self { zone, name: TableRef::parse(namespace, table).ok()?, id, path: path.to_string() })
    }

    fn left_out(&self, error: &IngestError) -> RebuiltTable {
        RebuiltTable {
            table: self.name.clone(),
            id: self.id,
            state: TableState::Deleted,
            versions: 0,
            schemas: 0,
            uploads: 0,
            files: 0,
            missing_originals: Vec::new(),
            left_out: Some(error.to_string()),
        }
    }
}

async fn folders(store: &dyn ObjectStore, prefix: &Path) -> Result<Vec<Path>, IngestError> {
    Ok(store.list_with_delimiter(Some(prefix)).await.map_err(StorageError::from)?.common_prefixes)
}

/// An upload as far as log and original tell of it. How its bytes were read, nobody knows any more but for the format.
fn upload_of(
    table: &TableRef,
    id: UploadId,
    part: &UploadPart,
    version: &VersionEntry,
    original: Option<&ObjectMeta>,
) -> (NewUpload, CommittedUpload) {
    let committed_at = version.committed_at.unwrap_or_default();
    let landed_at = original.map_or(committed_at, |object| object.last_modified);
    let upload = NewUpload {
        id,
        table: table.clone(),
        principal: part.principal.clone(),
        idempotency_key: None,
        file_name: None,
        options: original.map_or_else(|| ReadOptions::of(Format::Csv), options_of),
        landed: Landed {
            raw_path: original.map_or_else(String::new, |object| object.location.to_string()),
            size_bytes: original.map_or(0, |object| object.size),
            sha256: part.sha256.clone(),
            landed_at,
        },
        started_at: landed_at,
    };
    let rows = part.counts.unwrap_or_else(|| RowCounts::all_committed(part.rows));
    (upload, CommittedUpload { version: version.version, rows, committed_at })
}

/// What the name of the original tells: `{id}.{format}{compression}`.
fn options_of(object: &ObjectMeta) -> ReadOptions {
    let name = object.location.filename().unwrap_or_default();
    let mut endings = name.split('.').skip(1);
    let format = endings.next().and_then(|ending| ending.parse::<Format>().ok());
    let ending = endings.next().map(|ending| format!(".{ending}")).unwrap_or_default();
    let compression = Compression::ALL.into_iter().find(|compression| compression.extension() == ending);
    let compression = compression.unwrap_or_default();
    ReadOptions { compression, ..ReadOptions::of(format.unwrap_or(Format::Csv)) }
}

/// The schemas of the versions that changed them.
async fn schemas(table: &Table, id: TableId, versions: &[VersionEntry]) -> Result<Vec<NewSchemaVersion>, IngestError> {
    let mut schemas: Vec<NewSchemaVersion> = Vec::new();
    for (number, version) in versions.iter().enumerate() {
        if number > 0 && !version.changes_metadata {
            continue;
        }
        let schema = table.describe(Some(version.version)).await?.schema.as_ref().clone();
        let part = version.uploads.first();
        schemas.push(NewSchemaVersion {
            table_id: id,
            table_version: version.version,
            schema,
            upload_id: part.and_then(|part| part.id.parse().ok()),
            run_id: None,
            principal: part.map_or_else(|| UNKNOWN.to_owned(), |part| part.principal.clone()),
        });
    }
    Ok(schemas)
}

async fn log(table: &Table, versions: &[VersionEntry]) -> Result<Vec<LogRecord>, IngestError> {
    let mut log = Vec::with_capacity(versions.len());
    for version in versions {
        if let Some(bytes) = table.read_entry_bytes(version.version).await? {
            let content = String::from_utf8_lossy(&bytes).into_owned();
            log.push(LogRecord { version: version.version, content });
        }
    }
    Ok(log)
}
