//! Tables whose every commit is written by hand.

use std::{fs::File, sync::Arc, time::Duration};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use chrono::{DateTime, TimeDelta, Utc};
use deltalake::datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, memory::InMemory, path::Path};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use sluice_domain::ZoneName;
use sluice_storage::{Folder, Lease, Opened, StorageSettings, Zone};
use tempfile::TempDir;
use url::Url;

use super::faults::{Faulty, Trigger};
use crate::{MaintenanceError, Table, maintenance::log::commit_path};

/// Rows in each data file.
pub(super) const ROWS: usize = 3;

pub(super) struct HandMade {
    pub(super) folder: Folder,
    pub(super) trigger: Trigger,
    pub(super) now: DateTime<Utc>,
    directory: Option<TempDir>,
    next: u64,
}

impl HandMade {
    /// In memory, or on the local disk.
    pub(super) fn new(local: bool) -> Self {
        let directory = local.then(|| tempfile::tempdir().unwrap());
        let opened = match &directory {
            Some(directory) => {
                let url = Url::from_directory_path(directory.path()).unwrap();
                sluice_storage::open(url.as_str(), &StorageSettings::default()).unwrap()
            }
            None => {
                let url = Url::parse("s3://lake/raw/").unwrap();
                Opened { url, root: Arc::new(InMemory::new()), path: Path::from("raw") }
            }
        };
        let (faulty, trigger) = Faulty::new(opened.root);
        let zone = Zone::new(ZoneName::Raw, Opened { root: Arc::new(faulty), ..opened });
        Self { folder: zone.folder("tables/1"), trigger, now: Utc::now(), directory, next: 0 }
    }

    /// A table of `k string, v long`, partitioned by `k`, at version 0.
    pub(super) async fn table(local: bool) -> Self {
        let mut table = Self::new(local);
        let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "nullable": true, "metadata": {}});
        let schema = json!({"type": "struct", "fields": [field("k", "string"), field("v", "long")]});
        table
            .commit(&[
                json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
                json!({"metaData": {"id": "11111111-1111-1111-1111-111111111111", "name": "t", "partitionColumns": ["k"],
                    "format": {"provider": "parquet", "options": {}}, "schemaString": schema.to_string(),
                    "configuration": {}, "createdTime": 1_700_000_000_000_i64}}),
            ])
            .await;
        table
    }

    pub(super) fn open(&self) -> Table {
        Table::open(self.folder.clone())
    }

    pub(super) fn store(&self) -> &dyn ObjectStore {
        self.folder.store.as_ref()
    }

    pub(super) async fn lease(&self) -> Lease {
        Lease::acquire(&self.folder, "maintenance", "test", Duration::from_secs(600)).await.unwrap().unwrap()
    }

    /// A lease that was lost.
    pub(super) async fn lost_lease(&self) -> Lease {
        let lease = self.lease().await;
        lease.release().await.unwrap();
        lease
    }

    /// Write the next version.
    pub(super) async fn commit(&mut self, actions: &[Value]) -> u64 {
        let version = self.next;
        self.next += 1;
        let info = json!({"commitInfo": {"timestamp": self.now.timestamp_millis(), "operation": "WRITE"}});
        let lines: Vec<String> = [info].iter().chain(actions).map(Value::to_string).collect();
        self.store().put_opts(&commit_path(version), lines.join("\n").into(), PutMode::Create.into()).await.unwrap();
        version
    }

    /// Write a data file of the partition, and give the action that adds it.
    pub(super) async fn file(&self, path: &str, k: Option<&str>) -> Value {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS as i64));
        let batch = RecordBatch::try_from_iter_with_nullable([("v", values, true)]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let size = bytes.len();
        self.store().put(&Path::parse(path).unwrap(), bytes.into()).await.unwrap();
        let stats = json!({"numRecords": ROWS, "minValues": {"v": 0}, "maxValues": {"v": 2}, "nullCount": {"v": 0}});
        json!({"add": {"path": encoded(path), "partitionValues": {"k": k}, "size": size, "dataChange": true,
            "modificationTime": self.now.timestamp_millis(), "stats": stats.to_string()}})
    }

    /// The action that removes a file, so many hours ago.
    pub(super) fn removal(&self, path: &str, hours_ago: i64) -> Value {
        let at = self.now - TimeDelta::hours(hours_ago);
        json!({"remove": {"path": encoded(path), "deletionTimestamp": at.timestamp_millis(), "dataChange": true}})
    }

    pub(super) fn transaction(&self, app_id: &str, version: i64) -> Value {
        json!({"txn": {"appId": app_id, "version": version, "lastUpdated": self.now.timestamp_millis()}})
    }

    /// A table of `versions` with a file each; every third removes the one before, every transaction counts up.
    pub(super) async fn grown(local: bool, versions: u64) -> Self {
        let mut table = Self::table(local).await;
        for version in 1..versions {
            let mut actions = vec![table.file(&name(version), Some("x y")).await];
            actions.push(table.transaction("writer", version as i64));
            if version % 3 == 0 {
                actions.push(table.removal(&name(version - 1), 1));
            }
            table.commit(&actions).await;
        }
        table
    }

    /// Make an object of the local disk as old as this.
    pub(super) fn age(&self, path: &Path, hours: u64) {
        let file = self.directory.as_ref().unwrap().path().join("tables/1").join(path.as_ref());
        let time = std::time::SystemTime::from(self.now) - Duration::from_secs(hours * 3600);
        File::options().append(true).open(file).unwrap().set_modified(time).unwrap();
    }

    /// Version, files and rows as `delta-rs` reads them from a fresh start, every data file read.
    pub(super) async fn read(&self) -> Result<(u64, u64, usize), MaintenanceError> {
        let described = self.open().describe(None).await?;
        Ok((described.version, described.files, self.rows(None).await?))
    }

    pub(super) async fn rows(&self, version: Option<u64>) -> Result<usize, MaintenanceError> {
        let scan = self.open().scan(version).await?;
        Ok(SessionContext::new().read_table(scan.provider).unwrap().count().await.unwrap())
    }

    pub(super) async fn names(&self, prefix: &str) -> Vec<String> {
        let listed = self.store().list(Some(&Path::from(prefix)));
        let mut names: Vec<String> = listed.map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
        names.sort();
        names
    }

    pub(super) async fn exists(&self, path: &str) -> bool {
        self.store().head(&Path::parse(path).unwrap()).await.is_ok()
    }
}

/// The data file of a version of a grown table.
pub(super) fn name(version: u64) -> String {
    format!("k=x%20y/part-00000-{version}.parquet")
}

/// A path as a log writes it.
fn encoded(path: &str) -> String {
    path.replace('%', "%25").replace(' ', "%20")
}
