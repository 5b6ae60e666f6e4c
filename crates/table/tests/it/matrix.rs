//! Every pair of operations that begin on the same version, one committed after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, Schema};
use sluice_table::{
    Commit, Compact, Delete, MergeRule, Operation, Overwrite, Provenance, Replace, Rewrite, SchemaChange, Scope, Table,
    TableError, ZOrder,
};

use crate::lake::{Lake, Row, batch, row};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Append,
    Overwrite,
    OverwritePartition,
    Replace,
    Delete,
    Merge,
    Compact,
    ZOrder,
    AddColumn,
    SetProperty,
}

const KINDS: [Kind; 10] = [
    Kind::Append,
    Kind::Overwrite,
    Kind::OverwritePartition,
    Kind::Replace,
    Kind::Delete,
    Kind::Merge,
    Kind::Compact,
    Kind::ZOrder,
    Kind::AddColumn,
    Kind::SetProperty,
];

/// What a table holds: rows by key, columns beyond the first three, properties.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Model {
    rows: BTreeMap<i64, (String, i64)>,
    columns: BTreeSet<String>,
    properties: BTreeSet<String>,
}

/// The second of a pair has keys of its own, so that it can be told from the first.
fn name(side: i64) -> String {
    format!("side{side}")
}

fn new_rows(kind: Kind, side: i64) -> Vec<Row> {
    let first = 1000 * (side + 1);
    match kind {
        Kind::Append => vec![row(first, "a", 60), row(first + 1, "b", 1), row(first + 2, "new", 2)],
        Kind::Overwrite => vec![row(first + 10, "a", 70), row(first + 11, "c", 3)],
        Kind::OverwritePartition => vec![row(first + 20, "a", 80), row(first + 21, "a", 4)],
        Kind::Replace => vec![row(first + 40, "a", 90), row(first + 41, "d", 7)],
        Kind::Merge => vec![row(1, "a", 100 + side), row(4, "moved", 5 + side), row(first + 30, "b", 6)],
        _ => Vec::new(),
    }
}

impl Model {
    fn apply(mut self, kind: Kind, side: i64) -> Self {
        match kind {
            Kind::Overwrite => self.rows.clear(),
            Kind::Replace => {
                self.rows.clear();
                self.columns = [name(side)].into();
            }
            Kind::OverwritePartition => self.rows.retain(|_, (partition, _)| partition != "a"),
            Kind::Delete => self.rows.retain(|_, (_, value)| *value < 50 + side),
            Kind::AddColumn => drop(self.columns.insert(name(side))),
            Kind::SetProperty => drop(self.properties.insert(name(side))),
            Kind::Append | Kind::Merge | Kind::Compact | Kind::ZOrder => {}
        }
        for (key, partition, value) in new_rows(kind, side) {
            self.rows.insert(key.unwrap(), (partition.unwrap(), value.unwrap()));
        }
        self
    }

    async fn of(lake: &Lake) -> Self {
        let rows = lake.rows().await;
        let keyed =
            rows.iter().map(|(key, partition, value)| (key.unwrap(), (partition.clone().unwrap(), value.unwrap())));
        let model: BTreeMap<_, _> = keyed.collect();
        assert_eq!(model.len(), rows.len(), "a row is there twice: {rows:?}");
        let log = lake.log().await;
        let metadata = log.iter().flatten().rfind(|line| line["metaData"].is_object()).unwrap();
        let schema: serde_json::Value =
            serde_json::from_str(metadata["metaData"]["schemaString"].as_str().unwrap()).unwrap();
        let columns = schema["fields"].as_array().unwrap().iter().skip(3);
        let properties = metadata["metaData"]["configuration"].as_object().unwrap().keys();
        Self {
            rows: model,
            columns: columns.map(|field| field["name"].as_str().unwrap().to_owned()).collect(),
            properties: properties.cloned().collect(),
        }
    }
}

fn base_rows() -> [Vec<Row>; 3] {
    [
        vec![row(1, "a", 10), row(2, "b", 20), row(3, "a", 30)],
        vec![row(4, "a", 40), row(5, "b", 50)],
        vec![row(6, "b", 60), row(7, "c", 70), row(8, "a", 51)],
    ]
}

enum Prepared {
    Append(Commit),
    Rewrite(Box<Rewrite>),
}

async fn operation(lake: &Lake, kind: Kind, side: i64) -> Operation {
    let rows = new_rows(kind, side);
    match kind {
        Kind::Append => panic!("it is not one"),
        Kind::Overwrite => Operation::Overwrite(Overwrite { scope: Scope::All, files: lake.write(&rows).await }),
        Kind::OverwritePartition => {
            let partition = BTreeMap::from([("p".to_owned(), Some("a".to_owned()))]);
            let scope = Scope::Partitions(vec![partition]);
            Operation::Overwrite(Overwrite { scope, files: lake.write(&rows).await })
        }
        Kind::Replace => {
            let columns = batch(&rows).schema();
            let more = Arc::new(Field::new(name(side), DataType::Utf8, true));
            let fields: Vec<_> = columns.fields().iter().cloned().chain([more]).collect();
            Operation::Replace(Replace { schema: Arc::new(Schema::new(fields)), files: lake.write(&rows).await })
        }
        Kind::Delete => Operation::Delete(Delete { predicate: format!("v >= {}", 50 + side) }),
        Kind::Merge => lake.merge(MergeRule::upsert(&["k"]), &[batch(&rows)]).unwrap(),
        Kind::Compact => Operation::Compact(Compact::default()),
        Kind::ZOrder => {
            Operation::ZOrder(ZOrder { columns: vec!["v".to_owned(), "k".to_owned()], target_bytes: 1 << 20 })
        }
        Kind::AddColumn => {
            Operation::Schema(SchemaChange::AddColumns(vec![Field::new(name(side), DataType::Utf8, true)]))
        }
        Kind::SetProperty => {
            Operation::Schema(SchemaChange::SetProperties(BTreeMap::from([(name(side), Some("x".to_owned()))])))
        }
    }
}

async fn prepare(lake: &Lake, table: &Table, kind: Kind, side: i64) -> Prepared {
    if kind == Kind::Append {
        return Prepared::Append(lake.commit(&name(side), lake.write(&new_rows(kind, side)).await));
    }
    let operation = operation(lake, kind, side).await;
    Prepared::Rewrite(Box::new(table.prepare(&operation, &lake.workspace()).await.unwrap()))
}

async fn commit(table: &Table, prepared: &Prepared) -> Result<(), TableError> {
    match prepared {
        Prepared::Append(commit) => table.append(commit).await.map(drop),
        Prepared::Rewrite(rewrite) => table.commit(rewrite, &Provenance::default()).await.map(drop),
    }
}

async fn check_pair(first: Kind, second: Kind) {
    let slices = base_rows();
    let slices: Vec<&[Row]> = slices.iter().map(Vec::as_slice).collect();
    let (lake, table) = Lake::with_rows(&slices).await;
    let other = lake.open();
    let base = Model::of(&lake).await;
    let prepared = [prepare(&lake, &table, first, 0).await, prepare(&lake, &other, second, 1).await];
    commit(&table, &prepared[0]).await.unwrap();
    assert_eq!(Model::of(&lake).await, base.clone().apply(first, 0), "{first:?}");
    let in_order = base.clone().apply(first, 0).apply(second, 1);
    let reversed = base.apply(second, 1).apply(first, 0);
    let found = match commit(&other, &prepared[1]).await {
        Ok(()) => Model::of(&lake).await,
        Err(error) => {
            assert!(error.starts_over(), "{first:?}, {second:?}: {error:?}");
            lake.apply(&other, &operation(&lake, second, 1).await).await.unwrap();
            let found = Model::of(&lake).await;
            assert_eq!(found, in_order, "{first:?}, {second:?} begun anew");
            found
        }
    };
    assert!(found == in_order || found == reversed, "{first:?}, {second:?}: {found:?}");
}

#[tokio::test]
async fn two_operations_on_one_version_are_as_if_one_came_after_the_other() {
    for first in KINDS {
        for second in KINDS {
            Box::pin(check_pair(first, second)).await;
        }
    }
}

#[tokio::test]
async fn a_stale_rewrite_is_refused() {
    use Kind::{Append, Compact, Delete, Merge, Overwrite, ZOrder};
    let slices = base_rows();
    let slices: Vec<&[Row]> = slices.iter().map(Vec::as_slice).collect();
    for (first, second) in [
        (Compact, Compact),
        (Compact, ZOrder),
        (ZOrder, Compact),
        (ZOrder, ZOrder),
        (Overwrite, Compact),
        (Delete, Compact),
        (Append, Delete),
        (Append, Merge),
        (Merge, Merge),
        (Compact, Delete),
    ] {
        let (lake, table) = Lake::with_rows(&slices).await;
        let other = lake.open();
        let prepared = [prepare(&lake, &table, first, 0).await, prepare(&lake, &other, second, 1).await];
        commit(&table, &prepared[0]).await.unwrap();
        let before = lake.log().await.len();
        let error = commit(&other, &prepared[1]).await.unwrap_err();
        assert!(error.starts_over(), "{first:?}, {second:?}: {error:?}");
        assert_eq!(lake.log().await.len(), before, "{first:?}, {second:?}");
    }
}
