//! What came to a table after a version: rows of new files, however they were moved since, and nothing where rows were
//! taken away.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray as _, Int32Array, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema, SchemaRef},
};
use deltalake::datafusion::prelude::SessionContext;
use object_store::ObjectStoreExt as _;
use rstest::rstest;
use sluice_domain::Failure as _;
use sluice_table::{Compact, Delete, IncrementError, MergeRule, Operation, Overwrite, SchemaChange, Scope, Table};

use crate::lake::{Lake, batch, entry_path, row, schema};

/// What a query says of the rows that came after a version.
async fn read(lake: &Lake, table: &Table, since: u64, sql: &str) -> Vec<RecordBatch> {
    let scan = table.scan_increment(since, None).await.unwrap();
    let session = SessionContext::new();
    session.runtime_env().register_object_store(&lake.folder.url, Arc::clone(&lake.folder.root));
    session.register_table("t", scan.provider).unwrap();
    session.sql(sql).await.unwrap().collect().await.unwrap()
}

/// The keys of the rows that came after a version.
async fn keys_since(lake: &Lake, table: &Table, since: u64) -> BTreeSet<i64> {
    let mut keys = BTreeSet::new();
    for batch in read(lake, table, since, "SELECT k, p, v FROM t").await {
        for key in batch.column(0).as_primitive::<Int64Type>().values() {
            assert!(keys.insert(*key), "the row {key} comes twice");
        }
    }
    keys
}

fn untold(error: IncrementError) -> (u64, &'static str) {
    assert_eq!(error.code(), "needs-full-refresh", "{error}");
    match error {
        IncrementError::Untold { version, reason } => (version, reason),
        other => panic!("{other}"),
    }
}

fn compact() -> Operation {
    Operation::Compact(Compact { min_files: 2, ..Compact::default() })
}

async fn append(lake: &Lake, table: &Table, keys: &[i64]) {
    let rows: Vec<_> = keys.iter().map(|key| row(*key, "a", *key)).collect();
    table.append(&lake.commit("app", lake.write(&rows).await)).await.unwrap();
}

#[tokio::test]
async fn rows_that_came_after_a_version_are_read_and_no_others() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1), row(2, "b", 2)], &[row(3, "a", 3)]]).await;
    append(&lake, &table, &[4, 5]).await;
    assert_eq!(keys_since(&lake, &table, 0).await, BTreeSet::from([3, 4, 5]));
    assert_eq!(keys_since(&lake, &table, 1).await, BTreeSet::from([4, 5]));
    assert_eq!(keys_since(&lake, &table, 2).await, BTreeSet::new());
    let told = table.increment(0, Some(1)).await.unwrap();
    assert_eq!((told.version, told.rows, told.is_empty()), (1, 1, false));
    let partition = row(6, "c=/ü", 6);
    table.append(&lake.commit("app", lake.write(&[partition]).await)).await.unwrap();
    assert_eq!(
        keys_since(&lake, &table, 2).await,
        BTreeSet::from([6]),
        "the path is one that is written in another way"
    );
}

#[tokio::test]
async fn a_compaction_brings_nothing_and_hides_nothing() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)], &[row(2, "a", 2)]]).await;
    append(&lake, &table, &[3]).await;
    lake.apply(&table, &compact()).await.unwrap().entry.unwrap();
    assert!(table.increment(2, None).await.unwrap().is_empty());
    assert_eq!(keys_since(&lake, &table, 1).await, BTreeSet::from([3]));
    append(&lake, &table, &[4]).await;
    assert_eq!(keys_since(&lake, &table, 1).await, BTreeSet::from([3, 4]));
    assert_eq!(keys_since(&lake, &table, 3).await, BTreeSet::from([4]));
}

#[tokio::test]
async fn files_of_moved_rows_that_are_gone_are_missed() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    append(&lake, &table, &[2]).await;
    let added = lake.log().await[1].iter().find_map(|line| line["add"]["path"].as_str().map(str::to_owned)).unwrap();
    lake.apply(&table, &compact()).await.unwrap().entry.unwrap();
    lake.delete_file(&added).await;
    assert_eq!(untold(table.increment(0, None).await.unwrap_err()).0, 1);
    assert!(table.increment(1, None).await.unwrap().is_empty());
}

#[rstest]
#[case::delete(Operation::Delete(Delete { predicate: "k = 1".to_owned() }))]
#[case::overwrite(Operation::Overwrite(Overwrite { scope: Scope::All, files: Vec::new() }))]
#[tokio::test]
async fn what_takes_rows_away_that_were_read_leaves_nothing_told(#[case] operation: Operation) {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1), row(9, "b", 9)]]).await;
    append(&lake, &table, &[2]).await;
    lake.apply(&table, &operation).await.unwrap().entry.unwrap();
    append(&lake, &table, &[3]).await;
    assert_eq!(untold(table.increment(0, None).await.unwrap_err()).0, 2);
    assert_eq!(untold(table.increment(1, None).await.unwrap_err()).0, 2);
    assert_eq!(keys_since(&lake, &table, 2).await, BTreeSet::from([3]));
}

#[tokio::test]
async fn a_merge_tells_what_it_adds_and_not_what_it_changes() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let merge = |key| lake.merge(MergeRule::upsert(&["k", "p"]), &[batch(&[row(key, "a", 7)])]).unwrap();
    lake.apply(&table, &merge(2)).await.unwrap();
    assert_eq!(keys_since(&lake, &table, 0).await, BTreeSet::from([2]));
    lake.apply(&table, &merge(2)).await.unwrap();
    assert_eq!(keys_since(&lake, &table, 0).await, BTreeSet::from([2]), "the row that it changed is itself new");
    assert_eq!(untold(table.increment(1, None).await.unwrap_err()).0, 2);
}

#[tokio::test]
async fn new_rows_have_the_columns_of_the_version_that_is_read() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    append(&lake, &table, &[2]).await;
    let added = SchemaChange::AddColumns(vec![Field::new("extra", DataType::Utf8, true)]);
    lake.apply(&table, &Operation::Schema(added)).await.unwrap();
    let scan = table.scan_increment(0, None).await.unwrap();
    assert!(scan.provider.schema().field_with_name("extra").is_ok());
    assert_eq!(keys_since(&lake, &table, 0).await, BTreeSet::from([2]));
}

#[tokio::test]
async fn new_rows_of_a_narrower_type_are_read_in_the_type_that_their_column_got_since() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let with_number = |data_type| {
        let fields =
            schema().fields().iter().cloned().chain([Arc::new(Field::new("n", data_type, true))]).collect::<Vec<_>>();
        Arc::new(Schema::new(fields))
    };
    let (narrow, wide) = (with_number(DataType::Int32), with_number(DataType::Int64));
    let numbered = |schema: &SchemaRef, key: i64, number: ArrayRef| {
        let columns = batch(&[row(key, "a", key)]).columns().iter().cloned().chain([number]).collect();
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    };
    let rows = [
        (&schema(), numbered(&narrow, 2, Arc::new(Int32Array::from(vec![20])))),
        (&narrow, numbered(&narrow, 3, Arc::new(Int32Array::from(vec![30])))),
        (&narrow, numbered(&wide, 4, Arc::new(Int64Array::from(vec![1_i64 << 40])))),
    ];
    for (base, rows) in rows {
        let commit = lake.commit("app", lake.write_batch(&rows).await);
        let columns = (base, &rows.schema());
        table.append_evolving(&commit, columns, &lake.workspace(), |_| async { Ok(()) }).await.unwrap();
    }
    let sum = read(&lake, &table, 1, "SELECT CAST(sum(n) AS BIGINT) AS s FROM t").await;
    assert_eq!(sum[0].column(0).as_primitive::<Int64Type>().values(), &[30 + (1_i64 << 40)]);
    assert_eq!(keys_since(&lake, &table, 1).await, BTreeSet::from([3, 4]));
}

#[tokio::test]
async fn a_version_that_is_not_there_is_told() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    assert_eq!(untold(table.increment(7, None).await.unwrap_err()).0, 7);
    assert_eq!(table.increment(0, Some(7)).await.unwrap_err().code(), "version-not-found");
    append(&lake, &table, &[2]).await;
    append(&lake, &table, &[3]).await;
    lake.folder.store.delete(&entry_path(1)).await.unwrap();
    assert_eq!(untold(table.increment(0, None).await.unwrap_err()), (1, "is not in the log any more"));
    assert!(!table.increment(1, None).await.unwrap().is_empty());
}
