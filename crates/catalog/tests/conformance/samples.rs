//! A catalog in a folder of its own, and things to put into it.

use chrono::{DateTime, Utc};
use sluice_catalog::{
    Catalog, CatalogError, CommitTry, CommittedUpload, CommittedUploads, NewTable, NewUpload, Uploads,
};
use sluice_domain::IdempotencyKey;
use sluice_domain::{
    BadRowLimits, CsvOptions, FileRecord, Format, JsonOptions, Landed, LogRecord, NamespaceName, PageRequest,
    PageToken, Prepared, ReadOptions, TableEntry, TableFormat, TableId, TableRef, UploadEntry, UploadId, WriteMode,
    WriteOptions, ZoneName,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A catalog, and the folder that goes away with it.
pub(crate) struct Lake {
    pub(crate) dir: TempDir,
    pub(crate) catalog: Catalog,
}

impl Lake {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(dir.path()).await.unwrap();
        Self { dir, catalog }
    }

    /// The same folder, closed and opened again.
    pub(crate) async fn reopen(self) -> Self {
        self.catalog.close().await.unwrap();
        let catalog = Catalog::open(self.dir.path()).await.unwrap();
        Self { dir: self.dir, catalog }
    }

    pub(crate) async fn active_table(&self, name: &str) -> TableEntry {
        let entry = self.catalog.tables().reserve(&new_table(name)).await.unwrap();
        self.catalog.tables().activate(entry.id, &entry.partition_by).await.unwrap();
        self.catalog.tables().find(&entry.name).await.unwrap()
    }

    pub(crate) async fn landed(&self, table: &str) -> UploadId {
        let upload = new_upload(table);
        self.catalog.uploads().land(&upload).await.unwrap();
        upload.id
    }
}

pub(crate) fn table_ref(name: &str) -> TableRef {
    name.parse().unwrap()
}

pub(crate) fn namespaces(names: &[&str]) -> Vec<NamespaceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn new_table(name: &str) -> NewTable {
    NewTable {
        name: table_ref(name),
        zone: ZoneName::Raw,
        format: TableFormat::Delta,
        partition_by: vec!["year".into()],
        folder: None,
        owner: "ada".into(),
    }
}

pub(crate) fn new_upload(table: &str) -> NewUpload {
    NewUpload {
        id: UploadId(Uuid::now_v7()),
        table: table_ref(table),
        principal: "ada".into(),
        idempotency_key: None,
        file_name: Some("Flüge \u{202e}'); DROP TABLE uploads; --.csv".into()),
        options: read_options(),
        landed: Landed {
            raw_path: "uploads/nyc/flights/1.csv.gz".into(),
            size_bytes: 1 << 40,
            sha256: "ab".repeat(32),
            landed_at: instant("2026-01-31T23:59:59.999999999Z"),
        },
        started_at: instant("2026-01-31T23:59:58Z"),
    }
}

pub(crate) fn keyed_upload(table: &str, scope: &str, key: &str) -> NewUpload {
    let idempotency_key = Some(IdempotencyKey { scope: scope.into(), key: key.into() });
    NewUpload { idempotency_key, ..new_upload(table) }
}

fn read_options() -> ReadOptions {
    ReadOptions {
        csv: CsvOptions { delimiter: b'\t', quote: None, null_values: vec!["NA".into()], ..CsvOptions::default() },
        json: JsonOptions { null_values: vec!["-".into()], coerce: true, ..JsonOptions::default() },
        partition_by: vec!["year".into()],
        bad_rows: BadRowLimits { max_rows: Some(7), max_fraction: "0.5".parse().ok() },
        table_format: None,
        layout: sluice_domain::TableLayout { sort_by: vec!["day".into()], ..Default::default() },
        write: WriteOptions { mode: WriteMode::Merge, order_by: Some("at".into()), ..WriteOptions::default() },
        ..ReadOptions::of(Format::Csv)
    }
}

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn page(size: u32, token: Option<PageToken>) -> PageRequest {
    PageRequest { size, token }
}

/// Begin a commit of one upload without files.
pub(crate) async fn begin(uploads: &dyn Uploads, upload: UploadId, table: TableId) -> Result<i64, CatalogError> {
    let sequences =
        uploads.begin_commits(table, &[CommitTry { upload, files: Vec::new(), prepared: Prepared::default() }]).await?;
    Ok(sequences[0])
}

/// Say that one upload is in its table.
pub(crate) async fn commit(
    uploads: &dyn Uploads,
    upload: UploadId,
    table: TableId,
    committed: CommittedUpload,
) -> Result<UploadEntry, CatalogError> {
    let entry = LogRecord { version: committed.version, content: format!("{{\"version\":{}}}\n", committed.version) };
    let all = CommittedUploads { table, entry, uploads: vec![(upload, committed)], quarantined: Vec::new() };
    Ok(uploads.commit(&all).await?.remove(0))
}

pub(crate) fn file(path: &str, upload: Option<UploadId>) -> FileRecord {
    FileRecord { path: path.into(), size_bytes: 1 << 33, sha256: "cd".repeat(32), rows: 7, upload }
}
