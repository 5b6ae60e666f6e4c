//! Histories: random sources, one after the other, against rows in memory.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray as _, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType},
};
use chrono::DateTime;
use proptest::prelude::*;
use sluice_domain::Failure as _;
use sluice_table::{
    Applied, CommitFailure, CreateOutcome, History, MergeRule, NewTable, Operation, Provenance, RowChanges, Source,
    Table, TableError, TableWriter, WriterSettings, history_columns,
};

use crate::lake::{Lake, row};

/// A key and a value.
type Value = (Option<i64>, Option<i64>);
/// Key, value, since when, until when, and whether it holds.
type Held = (Option<i64>, Option<i64>, i64, Option<i64>, bool);

fn source_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Int64, true)]))
}

fn table_schema() -> SchemaRef {
    let own = source_schema();
    let fields = own.fields().iter().map(|field| field.as_ref().clone());
    Arc::new(Schema::new(fields.chain(history_columns()).collect::<Vec<_>>()))
}

fn batch(rows: &[Value]) -> RecordBatch {
    let column = |of: fn(&Value) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(of).collect::<Int64Array>()) };
    RecordBatch::try_new(source_schema(), vec![column(|row| row.0), column(|row| row.1)]).unwrap()
}

fn history(rows: &[Value], at: i64, close_missing: bool, scratch: &Path) -> Result<History, TableError> {
    let rule = MergeRule { missing_is_value: true, ..MergeRule::upsert(&["k"]) };
    let batches: Vec<RecordBatch> = rows.chunks(3).map(batch).collect();
    let batches = if batches.is_empty() { vec![batch(&[])] } else { batches };
    let source = Arc::new(Source::of(rule, &batches, scratch)?);
    Ok(History { source, at: DateTime::from_timestamp_micros(at).unwrap(), close_missing })
}

/// A table with the history of these rows from moment 0 on.
async fn table_of(lake: &Lake, rows: &[Value]) -> Result<Table, TableError> {
    let workspace = lake.workspace();
    let history = history(rows, 0, false, &workspace.scratch_dir)?;
    let folder = workspace.scratch_dir.clone();
    let writer = TableWriter::open(WriterSettings::default(), &table_schema(), &[], "first".into(), folder).unwrap();
    let (staged, changes) = history.write_first(&table_schema(), writer)?;
    assert_eq!(changes, RowChanges { inserted: rows.len() as u64, ..RowChanges::default() });
    let new =
        NewTable { name: "n.t".into(), schema: table_schema(), partition_by: Vec::new(), layout: Default::default() };
    let commit = lake.commit("base", staged.upload(&lake.folder).await.unwrap());
    let table = lake.open();
    assert!(matches!(table.create(&new, &commit).await.unwrap(), CreateOutcome::Created(_)));
    Ok(table)
}

async fn held(lake: &Lake) -> Vec<Held> {
    let mut rows = Vec::new();
    for path in lake.live().await.into_keys() {
        for batch in lake.read_file(&path).await {
            let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
            let number = |column: &ArrayRef, row| {
                let values = column.as_primitive::<Int64Type>();
                values.is_valid(row).then(|| values.value(row))
            };
            let moment = |column: &ArrayRef, row| {
                let values = column.as_primitive::<TimestampMicrosecondType>();
                values.is_valid(row).then(|| values.value(row))
            };
            let (from, to, current) = (column("valid_from"), column("valid_to"), column("is_current"));
            rows.extend((0..batch.num_rows()).map(|row| {
                let is_current = current.as_boolean().value(row);
                let (from, to) = (moment(&from, row).unwrap(), moment(&to, row));
                (number(&column("k"), row), number(&column("v"), row), from, to, is_current)
            }));
        }
    }
    rows.sort();
    rows
}

/// The same in the plainest words.
fn apply(model: &mut Vec<Held>, rows: &[Value], at: i64, close_missing: bool) -> RowChanges {
    let mut changes = RowChanges::default();
    for row in model.iter_mut().filter(|row| row.4) {
        match rows.iter().find(|new| new.0 == row.0) {
            Some(new) if new.1 == row.1 => continue,
            None if !close_missing => continue,
            Some(_) => {}
            None => changes.deleted += 1,
        }
        (row.3, row.4) = (Some(at), false);
    }
    for new in rows {
        let before: Vec<&Held> = model.iter().filter(|row| row.0 == new.0).collect();
        match (before.iter().any(|row| row.4), before.iter().any(|row| row.3 == Some(at))) {
            (true, _) => {
                changes.deduplicated += 1;
                continue;
            }
            (false, true) => changes.updated += 1,
            (false, false) => changes.inserted += 1,
        }
        model.push((new.0, new.1, at, None, true));
    }
    model.sort();
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_history_is_as_in_the_model(
        sources in prop::collection::vec(
            (prop::collection::btree_map(prop::option::of(0_i64..9), prop::option::of(0_i64..3), 0..9), any::<bool>()),
            1..8,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = Lake::new();
            let rows = |source: &BTreeMap<Option<i64>, Option<i64>>| -> Vec<Value> {
                source.iter().map(|(key, value)| (*key, *value)).collect()
            };
            let table = table_of(&lake, &rows(&sources[0].0)).await.unwrap();
            let mut model = Vec::new();
            apply(&mut model, &rows(&sources[0].0), 0, false);
            for (at, (source, close_missing)) in sources.iter().enumerate().skip(1) {
                let (at, source) = (at as i64, rows(source));
                let history = history(&source, at, *close_missing, &lake.workspace().scratch_dir).unwrap();
                let applied = lake.apply(&table, &Operation::History(history)).await.unwrap();
                let expected = apply(&mut model, &source, at, *close_missing);
                assert_eq!(RowChanges { copied: 0, ..applied.rows }, expected);
                let changes = expected.inserted + expected.updated + expected.deleted;
                assert_eq!(applied.entry.is_some(), changes > 0, "what changes nothing is no version");
                assert_eq!(held(&lake).await, model);
            }
        });
    }
}

#[tokio::test]
async fn two_rows_of_one_key_are_refused_by_the_key_and_nothing_is_changed() {
    let lake = Lake::new();
    let table = table_of(&lake, &[(Some(1), Some(10))]).await.unwrap();
    let rows = [(Some(2), Some(1)), (Some(7), Some(1)), (Some(1), Some(1)), (Some(7), Some(1))];
    let twice = history(&rows, 5, true, &lake.workspace().scratch_dir).unwrap();
    let error = lake.apply(&table, &Operation::History(twice)).await.unwrap_err();
    assert_eq!(error.code(), "duplicate-key");
    assert!(error.to_string().contains("k = 7"), "{error}");
    assert_eq!(held(&lake).await, [(Some(1), Some(10), 0, None, true)]);
    let none = Lake::new();
    assert_eq!(table_of(&none, &[(None, Some(1)), (None, Some(2))]).await.err().unwrap().code(), "duplicate-key");
}

#[tokio::test]
async fn a_table_without_the_columns_of_a_history_is_refused() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let history = history(&[(Some(1), Some(2))], 5, false, &lake.workspace().scratch_dir).unwrap();
    let error = lake.apply(&table, &Operation::History(history)).await.unwrap_err();
    assert!(matches!(error, TableError::Contended { .. } | TableError::Commit(CommitFailure::SchemaChanged { .. })));
}

#[tokio::test]
async fn rows_of_others_in_between_have_it_begin_anew() {
    let lake = Lake::new();
    let table = table_of(&lake, &[(Some(1), Some(10))]).await.unwrap();
    let scratch = lake.workspace().scratch_dir;
    let late = Operation::History(history(&[(Some(1), Some(30))], 9, false, &scratch).unwrap());
    let prepared = table.prepare(&late, &lake.workspace()).await.unwrap();
    let other = Operation::History(history(&[(Some(1), Some(20))], 5, false, &scratch).unwrap());
    let _: Applied = lake.apply(&lake.open(), &other).await.unwrap();
    let error = table.commit(&prepared, &Provenance::default()).await.unwrap_err();
    assert!(error.starts_over(), "{error}");
    lake.apply(&table, &late).await.unwrap();
    let expected = [
        (Some(1), Some(10), 0, Some(5), false),
        (Some(1), Some(20), 5, Some(9), false),
        (Some(1), Some(30), 9, None, true),
    ];
    assert_eq!(held(&lake).await, expected);
}
