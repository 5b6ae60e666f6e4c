//! The steps: what is done to the table, and how it is told.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::datatypes::{DataType, Field, SchemaRef};
use serde_json::{Value, json};
use sluice_domain::Failure as _;
use sluice_storage::{Lease, StorageSettings, Zones};
use sluice_table::{
    Commit, Compact, CreateOutcome, DataFile, Delete, LogRetention, Matched, Merge, MergeRule, NewTable, Operation,
    Overwrite, Provenance, SchemaChange, Scope, Source, Table, TableError, TableWriter, Transaction, UploadPart,
    VacuumRetention, Workspace, WriterSettings, ZOrder,
};
use uuid::Uuid;

use crate::{
    random::Random,
    rows::{PARTITIONS, Row, batch, first_schema},
};

/// How many columns a process adds.
const ADDED_COLUMNS: u64 = 3;
/// How long maintenance may take.
const LEASE: Duration = Duration::from_secs(60);

/// One process on its walk.
pub(crate) struct Walk {
    table: Table,
    workspace: Workspace,
    scratch: PathBuf,
    process: u64,
    random: Random,
    /// The ids that this process gave out; nobody else adds rows with them.
    ids: i64,
    sequence: i64,
    columns: u64,
}

impl Walk {
    pub(crate) async fn open(folder: &Path, process: u64, random: Random) -> Self {
        let scratch = folder.join(format!("scratch-{process}"));
        std::fs::create_dir_all(&scratch).unwrap();
        let zones = Zones::open(&StorageSettings::default(), folder).unwrap();
        let table = Table::open(zones.get(sluice_domain::ZoneName::Raw).folder("tables/walk"));
        let workspace = Workspace::new(scratch.clone());
        let mut walk = Self { table, workspace, scratch, process, random, ids: 0, sequence: 0, columns: 0 };
        walk.create().await;
        walk
    }

    /// Make the table, unless another process has.
    async fn create(&mut self) {
        let new = NewTable {
            name: "walk".into(),
            schema: first_schema(),
            partition_by: vec!["p".into()],
            layout: Default::default(),
        };
        let commit = self.commit(Vec::new());
        match self.table.create(&new, &commit).await.unwrap() {
            CreateOutcome::Created(_) | CreateOutcome::Exists => {}
        }
    }

    /// Do one thing, and tell it.
    pub(crate) async fn step(&mut self) -> Value {
        let outcome = match self.random.below(100) {
            0..40 => self.append().await,
            40..60 => self.merge().await,
            60..72 => self.delete().await,
            72..78 => self.overwrite().await,
            78..88 => self.apply(Operation::Compact(Compact::default()), json!({"op": "compact"})).await,
            88..92 => {
                let z_order = ZOrder { columns: vec!["v".into(), "id".into()], target_bytes: 1 << 20 };
                self.apply(Operation::ZOrder(z_order), json!({"op": "z-order"})).await
            }
            92..95 => self.add_column().await,
            _ => self.maintain().await,
        };
        outcome.unwrap_or_else(|error| json!({"op": "none", "error": error.code()}))
    }

    async fn schema(&self) -> SchemaRef {
        self.table.describe(None).await.unwrap().schema
    }

    fn fresh_rows(&mut self, partition: Option<&'static str>) -> Vec<Row> {
        let count = 1 + self.random.below(30);
        let mut rows = Vec::new();
        for _ in 0..count {
            self.ids += 1;
            let mut row = Row::random(self.ids * 10 + self.process as i64, &mut self.random);
            row.partition = partition.unwrap_or(row.partition);
            rows.push(row);
        }
        rows
    }

    async fn write(&self, rows: &[Row], schema: &SchemaRef) -> Vec<DataFile> {
        let (settings, name) = (WriterSettings::default(), Uuid::new_v4().to_string());
        let mut writer = TableWriter::open(settings, schema, &["p".into()], name, self.scratch.clone()).unwrap();
        writer.write(&batch(rows, schema)).unwrap();
        writer.finish().unwrap().upload(self.table.folder()).await.unwrap()
    }

    fn commit(&mut self, files: Vec<DataFile>) -> Commit {
        self.sequence += 1;
        let rows = files.iter().map(DataFile::rows).sum();
        let part = UploadPart {
            id: Uuid::new_v4().to_string(),
            rows,
            sha256: "0".into(),
            principal: "walk".into(),
            counts: None,
        };
        let transaction = Transaction { app_id: format!("walk-{}", self.process), sequence: self.sequence };
        Commit { files, transaction, offsets: Vec::new(), uploads: vec![part], tags: BTreeMap::new() }
    }

    async fn append(&mut self) -> Result<Value, TableError> {
        let rows = self.fresh_rows(None);
        loop {
            let schema = self.schema().await;
            let files = self.write(&rows, &schema).await;
            let commit = self.commit(files);
            match self.table.append(&commit).await {
                Ok(entry) => {
                    let told: Vec<Value> = rows.iter().map(|row| row.told(&schema)).collect();
                    return Ok(json!({"version": entry.version, "op": "append", "rows": told}));
                }
                Err(error) if error.starts_over() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn merge(&mut self) -> Result<Value, TableError> {
        if self.ids == 0 {
            return Ok(json!({"op": "none"}));
        }
        // Only one's own ids may become new rows: others will add theirs themselves.
        let own = self.random.below(2) == 0;
        let process = if own { self.process } else { self.random.below(3) } as i64;
        let most = self.ids as u64;
        let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
        for _ in 0..1 + self.random.below(20) {
            let id = (1 + self.random.below(most) as i64) * 10 + process;
            rows.insert(id, Row::random(id, &mut self.random));
        }
        let rows: Vec<Row> = rows.into_values().collect();
        let schema = self.schema().await;
        let (matched, name) = match self.random.below(4) {
            0 => (Matched::Delete, "delete"),
            1 => (Matched::Keep, "keep"),
            _ => (Matched::Update, "update"),
        };
        let told: Vec<Value> = rows.iter().map(|row| row.told(&schema)).collect();
        let rule = MergeRule { matched, insert: own, ..MergeRule::upsert(&["id"]) };
        let source = Arc::new(Source::of(rule, &[batch(&rows, &schema)], &self.scratch)?);
        let merge = Merge { source };
        let told = json!({"op": "merge", "rows": told, "matched": name, "insert": own});
        self.apply(Operation::Merge(merge), told).await
    }

    async fn delete(&mut self) -> Result<Value, TableError> {
        let (modulus, rest) = (2 + self.random.below(9), self.random.below(5));
        let partition = PARTITIONS[self.random.below(PARTITIONS.len() as u64) as usize];
        let below = self.random.below(1000);
        let predicate = format!("v % {modulus} = {rest} AND p = '{partition}' AND v < {below}");
        let told = json!({"op": "delete", "modulus": modulus, "rest": rest, "partition": partition, "below": below});
        self.apply(Operation::Delete(Delete { predicate }), told).await
    }

    async fn overwrite(&mut self) -> Result<Value, TableError> {
        let all = self.random.below(4) == 0;
        let partition = (!all).then(|| PARTITIONS[self.random.below(PARTITIONS.len() as u64) as usize]);
        let rows = self.fresh_rows(partition);
        let scope = match partition {
            None => Scope::All,
            Some(partition) => Scope::Partitions(vec![[("p".to_owned(), Some(partition.to_owned()))].into()]),
        };
        loop {
            let schema = self.schema().await;
            let files = self.write(&rows, &schema).await;
            let told: Vec<Value> = rows.iter().map(|row| row.told(&schema)).collect();
            let told = json!({"op": "overwrite", "partition": partition, "rows": told});
            match self.apply(Operation::Overwrite(Overwrite { scope: scope.clone(), files }), told).await {
                Err(error) if error.starts_over() => {}
                outcome => return outcome,
            }
        }
    }

    async fn add_column(&mut self) -> Result<Value, TableError> {
        if self.columns == ADDED_COLUMNS {
            return Ok(json!({"op": "none"}));
        }
        self.columns += 1;
        let name = format!("n{}_{}", self.process, self.columns);
        let change = SchemaChange::AddColumns(vec![Field::new(&name, DataType::Int64, true)]);
        self.apply(Operation::Schema(change), json!({"op": "add-column", "column": name})).await
    }

    async fn apply(&self, operation: Operation, told: Value) -> Result<Value, TableError> {
        let record = |_: Vec<DataFile>| std::future::ready(Ok(()));
        let applied = self.table.apply(&operation, &self.workspace, &Provenance::default(), record).await?;
        let mut told = told;
        told["version"] = json!(applied.entry.map(|entry| entry.version));
        Ok(told)
    }

    /// A checkpoint, a clean-up of the log and a vacuum, if nobody else is at it.
    async fn maintain(&self) -> Result<Value, TableError> {
        let holder = format!("walk-{}", self.process);
        let Some(lease) = Lease::acquire(self.table.folder(), "maintenance", &holder, LEASE).await? else {
            return Ok(json!({"op": "none", "lease": "held"}));
        };
        let now = chrono::Utc::now();
        let checkpoint = self.table.checkpoint(&lease).await.unwrap();
        let cleaned = self.table.clean_log(&lease, LogRetention::from_hours(168).unwrap(), now).await.unwrap();
        let vacuumed = self.table.vacuum(&lease, VacuumRetention::from_hours(168).unwrap(), now).await.unwrap();
        lease.release().await?;
        Ok(
            json!({"op": "none", "checkpoint": checkpoint.map(|written| written.version), "cleaned": cleaned.versions, "vacuumed": vacuumed.files}),
        )
    }
}
