//! Merges: who matches whom, and what becomes of it.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use rstest::rstest;
use sluice_domain::Failure as _;
use sluice_table::{Applied, Matched, Merge, Operation, RowChanges, Table, TableError};

use crate::lake::{Lake, Row, batch, row};

async fn base() -> (Lake, Table) {
    let no_key: Row = (None, Some("a".to_owned()), Some(9));
    Lake::with_rows(&[&[row(1, "a", 10), row(2, "b", 20), no_key], &[row(3, "a", 30)]]).await
}

async fn merge(
    lake: &Lake,
    table: &Table,
    source: Vec<RecordBatch>,
    (matched, insert): (Matched, bool),
) -> Result<Applied, TableError> {
    let keys = vec!["k".to_owned()];
    lake.apply(table, &Operation::Merge(Merge { source, keys, matched, insert })).await
}

#[rstest]
#[case(Matched::Update, true, &[(1, "z", 11), (2, "b", 20), (3, "a", 30), (4, "c", 40)])]
#[case(Matched::Update, false, &[(1, "z", 11), (2, "b", 20), (3, "a", 30)])]
#[case(Matched::Delete, true, &[(2, "b", 20), (3, "a", 30), (4, "c", 40)])]
#[case(Matched::Delete, false, &[(2, "b", 20), (3, "a", 30)])]
#[case(Matched::Keep, true, &[(1, "a", 10), (2, "b", 20), (3, "a", 30), (4, "c", 40)])]
#[case(Matched::Keep, false, &[(1, "a", 10), (2, "b", 20), (3, "a", 30)])]
#[tokio::test]
async fn rows_are_matched_by_their_keys(
    #[case] matched: Matched,
    #[case] insert: bool,
    #[case] expected: &[(i64, &str, i64)],
) {
    let (lake, table) = base().await;
    let no_key: Row = (None, Some("n".to_owned()), Some(99));
    let source = vec![batch(&[row(1, "z", 11), no_key.clone()]), batch(&[row(4, "c", 40)])];
    let applied = merge(&lake, &table, source, (matched, insert)).await.unwrap();
    let mut expected: Vec<Row> = expected.iter().map(|(key, p, v)| row(*key, p, *v)).collect();
    // A missing key equals nothing, in the table and in the source.
    expected.insert(0, (None, Some("a".to_owned()), Some(9)));
    if insert {
        expected.insert(1, no_key);
    }
    assert_eq!(lake.rows().await, expected);
    assert_eq!(applied.rows.inserted, if insert { 2 } else { 0 });
    assert_eq!(applied.rows.updated, u64::from(matched == Matched::Update));
    assert_eq!(applied.rows.deleted, u64::from(matched == Matched::Delete));
    assert_eq!(applied.entry.is_some(), insert || matched != Matched::Keep);
}

#[tokio::test]
async fn columns_that_the_source_lacks_stay_or_are_missing() {
    let (lake, table) = base().await;
    let schema = Schema::new(vec![Field::new("v", DataType::Int32, true), Field::new("k", DataType::Int64, true)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(arrow::array::Int32Array::from(vec![33, 55])), Arc::new(Int64Array::from(vec![3, 5]))];
    let source = vec![RecordBatch::try_new(Arc::new(schema), columns).unwrap()];
    let applied = merge(&lake, &table, source, (Matched::Update, true)).await.unwrap();
    assert_eq!(applied.rows, RowChanges { inserted: 1, updated: 1, deleted: 0, copied: 0 });
    let rows = lake.rows().await;
    assert!(rows.contains(&row(3, "a", 33)), "{rows:?}");
    assert!(rows.contains(&(Some(5), None, Some(55))), "{rows:?}");
}

#[tokio::test]
async fn a_source_with_two_rows_of_one_key_is_refused_with_the_key() {
    let (lake, table) = base().await;
    let source = vec![batch(&[row(7, "a", 1)]), batch(&[row(8, "a", 1), row(7, "b", 2)])];
    let error = merge(&lake, &table, source, (Matched::Update, true)).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("duplicate-key", "two rows of the source have the key 7"));
    assert_eq!(lake.log().await.len(), 2);
}

#[tokio::test]
async fn a_source_that_is_too_large_or_does_not_fit_is_refused() {
    let (lake, table) = base().await;
    let source = vec![batch(&[row(7, "a", 1)])];
    let mut workspace = lake.workspace();
    workspace.max_source_bytes = 16;
    let mut operation = Merge { source, keys: vec!["k".to_owned()], matched: Matched::Update, insert: true };
    let error = table.prepare(&Operation::Merge(operation.clone()), &workspace).await.unwrap_err();
    assert_eq!(error.code(), "source-too-large");
    operation.keys = vec!["nope".to_owned()];
    let error = lake.apply(&table, &Operation::Merge(operation.clone())).await.unwrap_err();
    assert!(error.code() == "unknown-column" && error.to_string().contains("nope"), "{error}");
    let other = RecordBatch::try_from_iter([
        ("k", batch(&[row(1, "a", 1)]).column(0).clone()),
        ("x", batch(&[row(1, "a", 1)]).column(0).clone()),
    ]);
    operation = Merge { source: vec![other.unwrap()], keys: vec!["k".to_owned()], ..operation };
    let error = lake.apply(&table, &Operation::Merge(operation)).await.unwrap_err();
    assert!(error.code() == "unknown-column" && error.to_string().contains(" x"), "{error}");
}

#[tokio::test]
async fn a_large_merge_touches_each_row_once() {
    let rows: Vec<Row> = (0..20_000).map(|key| row(key, ["a", "b"][(key % 2) as usize], key)).collect();
    let (lake, table) = Lake::with_rows(&[&rows[..12_000], &rows[12_000..]]).await;
    let source: Vec<Row> = (10_000..30_000).map(|key| row(key, ["a", "b"][(key % 2) as usize], -key)).collect();
    let source = source.chunks(3000).map(batch).collect();
    let applied = merge(&lake, &table, source, (Matched::Update, true)).await.unwrap();
    assert_eq!((applied.rows.updated, applied.rows.inserted), (10_000, 10_000));
    let found = lake.rows().await;
    assert!(found.iter().map(|row| row.0.unwrap()).eq(0..30_000));
    assert!(found.iter().all(|row| row.2.unwrap() == if row.0.unwrap() < 10_000 { 1 } else { -1 } * row.0.unwrap()));
}
