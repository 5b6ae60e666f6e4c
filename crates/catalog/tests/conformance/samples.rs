//! A catalog in a folder of its own, and things to put into it.

use std::sync::Arc;

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

/// The variable that names a PostgreSQL database to run the suite on, each test in a schema of its own; without it, it
/// runs on SQLite.
pub(crate) const POSTGRES: &str = "SLUICE_TEST_POSTGRES";

/// A catalog, and where it is: a folder that goes away with it, or a schema.
pub(crate) struct Lake {
    pub(crate) dir: TempDir,
    url: Option<String>,
    pub(crate) catalog: Catalog,
}

impl Lake {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = std::env::var(POSTGRES).ok().map(own_schema);
        let catalog = open(&dir, url.as_deref()).await.unwrap();
        Self { dir, url, catalog }
    }

    /// A new catalog, opened by many servers at once.
    pub(crate) async fn open_many(servers: usize) -> Vec<Catalog> {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let url = std::env::var(POSTGRES).ok().map(own_schema);
        let opening: Vec<_> = (0..servers)
            .map(|_| {
                let (dir, url) = (Arc::clone(&dir), url.clone());
                tokio::spawn(async move { open(&dir, url.as_deref()).await.unwrap() })
            })
            .collect();
        let mut catalogs = Vec::new();
        for catalog in opening {
            catalogs.push(catalog.await.unwrap());
        }
        catalogs
    }

    /// The same catalog, closed and opened again.
    pub(crate) async fn reopen(mut self) -> Self {
        self.catalog.close().await.unwrap();
        self.catalog = self.another().await.unwrap();
        self
    }

    /// The place of another server in the same catalog.
    pub(crate) async fn another(&self) -> Result<Catalog, CatalogError> {
        open(&self.dir, self.url.as_deref()).await
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

async fn open(dir: &TempDir, url: Option<&str>) -> Result<Catalog, CatalogError> {
    match url {
        Some(url) => Catalog::connect(url).await,
        None => Catalog::open(dir.path()).await,
    }
}

/// Make a schema, and give the URL under which it is the current one.
fn own_schema(url: String) -> String {
    let schema = format!("test_{}", Uuid::new_v4().simple());
    let made = std::process::Command::new("psql").args([&url, "-qc", &format!("CREATE SCHEMA {schema}")]).status();
    assert!(made.unwrap().success(), "the database of {POSTGRES} makes no schema");
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options=-csearch_path%3D{schema}")
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
