//! A table in a store in memory, and an oracle that reads it without the code under test.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use object_store::{ObjectStoreExt as _, path::Path};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sluice_domain::ZoneName;
use sluice_storage::{Folder, Opened, Zone};
use sluice_table::{
    Applied, Commit, CommittedEntry, CreateOutcome, DataFile, Merge, MergeRule, NewTable, Operation, Provenance,
    Source, Table, TableError, TableWriter, Transaction, UploadPart, Workspace, WriterSettings,
};
use url::Url;

use crate::fault_store::FaultStore;

/// A row: key, partition, value.
pub(crate) type Row = (Option<i64>, Option<String>, Option<i64>);

pub(crate) struct Lake {
    pub(crate) store: FaultStore,
    pub(crate) folder: Folder,
    scratch: tempfile::TempDir,
    sequence: AtomicI64,
}

pub(crate) fn row(key: i64, partition: &str, value: i64) -> Row {
    (Some(key), Some(partition.to_owned()), Some(value))
}

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("p", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
    ]))
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

pub(crate) fn upload(id: &str) -> UploadPart {
    UploadPart { id: id.to_owned(), rows: 1, sha256: "00".repeat(32), principal: "ann".to_owned(), counts: None }
}

impl Lake {
    pub(crate) fn new() -> Self {
        let store = FaultStore::default();
        let url = Url::parse(&format!("s3://lake-{}/", uuid::Uuid::new_v4())).unwrap();
        let place = Opened { url, root: Arc::new(store.clone()), path: Path::ROOT };
        let folder = Zone::new(ZoneName::Raw, place).folder("tables/t");
        Self { store, folder, scratch: tempfile::tempdir().unwrap(), sequence: AtomicI64::new(1) }
    }

    /// A lake with a table of these rows, partitioned by `p`, a file per partition and slice.
    pub(crate) async fn with_rows(slices: &[&[Row]]) -> (Self, Table) {
        let lake = Self::new();
        let table = lake.open();
        let (first, rest) = slices.split_first().unwrap();
        let created = table.create(&lake.new_table(), &lake.commit("base", lake.write(first).await)).await.unwrap();
        assert!(matches!(created, CreateOutcome::Created(CommittedEntry { version: 0, .. })));
        for slice in rest {
            table.append(&lake.commit("base", lake.write(slice).await)).await.unwrap();
        }
        (lake, table)
    }

    /// The table as another process would have it.
    pub(crate) fn open(&self) -> Table {
        Table::open(self.folder.clone())
    }

    pub(crate) fn new_table(&self) -> NewTable {
        NewTable {
            name: "n.t".to_owned(),
            schema: schema(),
            partition_by: vec!["p".to_owned()],
            layout: Default::default(),
        }
    }

    pub(crate) fn workspace(&self) -> Workspace {
        Workspace::new(self.scratch.path().to_owned())
    }

    pub(crate) async fn write(&self, rows: &[Row]) -> Vec<DataFile> {
        self.write_batch(&batch(rows)).await
    }

    pub(crate) async fn write_batch(&self, batch: &RecordBatch) -> Vec<DataFile> {
        self.write_by(batch, &["p".to_owned()]).await
    }

    pub(crate) async fn write_by(&self, batch: &RecordBatch, partition_by: &[String]) -> Vec<DataFile> {
        let id = uuid::Uuid::new_v4().to_string();
        let scratch = self.scratch.path().to_owned();
        let settings = WriterSettings::default();
        let mut writer = TableWriter::open(settings, &batch.schema(), partition_by, id, scratch).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap().upload(&self.folder).await.unwrap()
    }

    pub(crate) fn next_sequence(&self) -> i64 {
        self.sequence.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn commit(&self, app_id: &str, files: Vec<DataFile>) -> Commit {
        let sequence = self.next_sequence();
        let transaction = Transaction { app_id: app_id.to_owned(), sequence };
        Commit {
            files,
            transaction,
            offsets: Vec::new(),
            uploads: vec![upload(&format!("{app_id}-{sequence}"))],
            tags: BTreeMap::new(),
        }
    }

    pub(crate) async fn apply(&self, table: &Table, operation: &Operation) -> Result<Applied, TableError> {
        table.apply(operation, &self.workspace(), &Provenance::default(), |_| async { Ok(()) }).await
    }

    /// A merge of these rows.
    pub(crate) fn merge(&self, rule: MergeRule, source: &[RecordBatch]) -> Result<Operation, TableError> {
        let source = Arc::new(Source::of(rule, source, self.scratch.path())?);
        Ok(Operation::Merge(Merge { source }))
    }

    /// The lines of each entry of the log.
    pub(crate) async fn log(&self) -> Vec<Vec<Value>> {
        let mut entries = Vec::new();
        while let Ok(found) = self.folder.store.get(&entry_path(entries.len() as u64)).await {
            let bytes = found.bytes().await.unwrap();
            let lines = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
            entries.push(lines.map(Result::unwrap).collect());
        }
        entries
    }

    /// The live files: path in the store and values of the partition.
    pub(crate) async fn live(&self) -> HashMap<String, Value> {
        let mut live = HashMap::new();
        for (version, line) in self
            .log()
            .await
            .into_iter()
            .enumerate()
            .flat_map(|(at, lines)| lines.into_iter().map(move |line| (at, line)))
        {
            if let Some(path) = line["remove"]["path"].as_str() {
                assert!(live.remove(path).is_some(), "version {version} removes {path}, which is not live");
            }
            if let Some(path) = line["add"]["path"].as_str() {
                assert!(live.insert(path.to_owned(), line["add"].clone()).is_none(), "{path} is added twice");
            }
        }
        live
    }

    /// Every row, in order.
    pub(crate) async fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (path, add) in self.live().await {
            let partition = add["partitionValues"]["p"].as_str().map(str::to_owned);
            for batch in self.read_file(&path).await {
                let numbers = |name| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
                let (keys, values) = (numbers("k"), numbers("v"));
                let at = |array: &Int64Array, row| array.is_valid(row).then(|| array.value(row));
                rows.extend((0..batch.num_rows()).map(|row| (at(&keys, row), partition.clone(), at(&values, row))));
            }
        }
        rows.sort();
        rows
    }

    pub(crate) async fn delete_file(&self, path: &str) {
        self.folder.store.delete(&place_of(path)).await.unwrap();
    }

    pub(crate) async fn read_file(&self, path: &str) -> Vec<RecordBatch> {
        let object = self.folder.store.get(&place_of(path)).await.unwrap().bytes().await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(object).unwrap().build().unwrap();
        reader.map(Result::unwrap).collect()
    }
}

/// Where a file lies that the log calls so.
fn place_of(path: &str) -> Path {
    Path::parse(percent_encoding::percent_decode_str(path).decode_utf8().unwrap()).unwrap()
}

pub(crate) fn entry_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}
