//! Merges: who matches whom, and what becomes of it.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use rstest::rstest;
use sluice_domain::Failure as _;
use sluice_table::{Applied, DeleteMarker, Keep, Matched, MergeRule, RowChanges, Table, TableError};

use crate::lake::{Lake, Row, batch, row};

async fn base() -> (Lake, Table) {
    let no_key: Row = (None, Some("a".to_owned()), Some(9));
    Lake::with_rows(&[&[row(1, "a", 10), row(2, "b", 20), no_key], &[row(3, "a", 30)]]).await
}

async fn merge(lake: &Lake, table: &Table, source: &[RecordBatch], rule: MergeRule) -> Result<Applied, TableError> {
    let operation = lake.merge(rule, source)?;
    lake.apply(table, &operation).await
}

fn upsert() -> MergeRule {
    MergeRule::upsert(&["k"])
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
    let source = [batch(&[row(1, "z", 11)]), batch(&[row(4, "c", 40)])];
    let applied = merge(&lake, &table, &source, MergeRule { matched, insert, ..upsert() }).await.unwrap();
    let mut expected: Vec<Row> = expected.iter().map(|(key, p, v)| row(*key, p, *v)).collect();
    // A row of the table without a key is nobody's match.
    expected.insert(0, (None, Some("a".to_owned()), Some(9)));
    assert_eq!(lake.rows().await, expected);
    let RowChanges { inserted, updated, deleted, deduplicated, rejected, .. } = applied.rows;
    assert_eq!(inserted, u64::from(insert));
    assert_eq!(rejected, u64::from(!insert));
    assert_eq!(updated, u64::from(matched == Matched::Update));
    assert_eq!(deleted, u64::from(matched == Matched::Delete));
    assert_eq!(deduplicated, u64::from(matched == Matched::Keep));
    assert_eq!(applied.entry.is_some(), insert || matched != Matched::Keep);
}

#[tokio::test]
async fn a_row_of_the_source_without_its_key_is_refused_with_its_place() {
    let (lake, table) = base().await;
    let source = [batch(&[row(7, "a", 1), row(8, "a", 1)]), batch(&[row(9, "a", 1), (None, None, Some(1))])];
    let error = merge(&lake, &table, &source, upsert()).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("missing-key", "row 4 has no value in the key column k"));
    let as_values = MergeRule { missing_is_value: true, matched: Matched::Keep, ..upsert() };
    let applied = merge(&lake, &table, &source, as_values).await.unwrap();
    assert_eq!((applied.rows.inserted, applied.rows.deduplicated), (3, 1));
}

#[tokio::test]
async fn columns_that_the_source_lacks_stay_or_are_missing() {
    let (lake, table) = base().await;
    let schema = Schema::new(vec![Field::new("v", DataType::Int64, true), Field::new("k", DataType::Int64, true)]);
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from(vec![33, 55, 22, 34])), Arc::new(Int64Array::from(vec![3, 5, 2, 3]))];
    let source = [RecordBatch::try_new(Arc::new(schema), columns).unwrap()];
    let applied = merge(&lake, &table, &source, upsert()).await.unwrap();
    let expected = RowChanges { inserted: 1, updated: 2, deduplicated: 1, ..RowChanges::default() };
    assert_eq!(applied.rows, expected);
    let no_key: Row = (None, Some("a".to_owned()), Some(9));
    let rows = [no_key, row(1, "a", 10), row(2, "b", 22), row(3, "a", 34), (Some(5), None, Some(55))];
    assert_eq!(lake.rows().await, rows);
}

#[rstest]
#[case(Keep::Last, None, Some(2), 2)]
#[case(Keep::First, None, Some(5), 2)]
#[case(Keep::Last, Some("v"), Some(9), 2)]
#[case(Keep::None, None, None, 3)]
#[tokio::test]
async fn of_several_rows_of_one_key_one_counts_or_none(
    #[case] keep: Keep,
    #[case] order_by: Option<&str>,
    #[case] value: Option<i64>,
    #[case] deduplicated: u64,
) {
    let (lake, table) = base().await;
    let source = [batch(&[row(7, "a", 5)]), batch(&[row(7, "b", 9), row(7, "c", 2)])];
    let rule = MergeRule { keep, order_by: order_by.map(str::to_owned), ..upsert() };
    let applied = merge(&lake, &table, &source, rule).await.unwrap();
    assert_eq!((applied.rows.deduplicated, applied.rows.inserted), (deduplicated, u64::from(value.is_some())));
    let found: Vec<_> = lake.rows().await.into_iter().filter(|row| row.0 == Some(7)).map(|row| row.2).collect();
    assert_eq!(found, Vec::from_iter(value.map(Some)));
}

#[tokio::test]
async fn what_is_older_than_the_row_in_the_table_is_not_applied() {
    let (lake, table) = base().await;
    let source = [batch(&[row(1, "late", 9), row(2, "equal", 20), row(3, "newer", 31)])];
    let rule = MergeRule { order_by: Some("v".to_owned()), ..upsert() };
    let applied = merge(&lake, &table, &source, rule).await.unwrap();
    assert_eq!((applied.rows.updated, applied.rows.deduplicated), (2, 1));
    let rows = lake.rows().await;
    assert_eq!(rows[1..], [row(1, "a", 10), row(2, "equal", 20), row(3, "newer", 31)]);
}

#[tokio::test]
async fn a_marker_deletes_and_is_not_stored() {
    let (lake, table) = base().await;
    let rows = batch(&[row(1, "a", 1), row(3, "b", 3), row(6, "c", 6), row(7, "d", 7)]);
    let marked: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]));
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("gone", DataType::Boolean, true)));
    let columns = rows.columns().iter().cloned().chain([marked]).collect();
    let source = [RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()];
    let marker = DeleteMarker { column: "gone".to_owned(), stored: false };
    let applied = merge(&lake, &table, &source, MergeRule { delete_when: Some(marker), ..upsert() }).await.unwrap();
    let expected = RowChanges { inserted: 1, updated: 1, deleted: 1, copied: 1, rejected: 1, deduplicated: 0 };
    assert_eq!(applied.rows, expected);
    assert_eq!(lake.rows().await[1..], [row(2, "b", 20), row(3, "b", 3), row(7, "d", 7)]);
}

#[tokio::test]
async fn rows_that_were_there_twice_become_one() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 10), row(1, "b", 11)], &[row(1, "a", 12)]]).await;
    let applied = merge(&lake, &table, &[batch(&[row(1, "c", 1)])], upsert()).await.unwrap();
    assert_eq!((applied.rows.updated, applied.rows.inserted), (1, 0));
    assert_eq!(lake.rows().await, [row(1, "c", 1)]);
}

#[tokio::test]
async fn a_source_that_does_not_fit_is_refused() {
    let (lake, table) = base().await;
    let error = merge(&lake, &table, &[batch(&[row(7, "a", 1)])], MergeRule::upsert(&["nope"])).await.unwrap_err();
    assert!(error.code() == "unknown-column" && error.to_string().contains("nope"), "{error}");
    let error = merge(&lake, &table, &[batch(&[row(7, "a", 1)])], MergeRule::upsert(&[])).await.unwrap_err();
    assert_eq!(error.code(), "bad-key");
    let other = RecordBatch::try_from_iter([
        ("k", batch(&[row(1, "a", 1)]).column(0).clone()),
        ("x", batch(&[row(1, "a", 1)]).column(0).clone()),
    ]);
    let operation = lake.merge(upsert(), &[other.unwrap()]).unwrap();
    let error = table.prepare(&operation, &lake.workspace()).await.unwrap_err();
    assert!(error.code() == "schema-changed" && error.to_string().contains(" x "), "{error}");
    assert_eq!(lake.log().await.len(), 2);
}

#[tokio::test]
async fn files_that_hold_none_of_the_keys_are_not_read() {
    let slices: Vec<Vec<Row>> = (0..8).map(|slice| (0..5).map(|at| row(slice * 10 + at, "a", at)).collect()).collect();
    let (lake, table) = Lake::with_rows(&slices.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    let operation = lake.merge(upsert(), &[batch(&[row(32, "b", -1)])]).unwrap();
    let live = lake.live().await;
    let in_the_way: Vec<&String> = live.keys().filter(|path| !holds(&live[*path], 32)).collect();
    assert_eq!(in_the_way.len(), 7);
    // What is not there cannot have been read.
    for path in in_the_way {
        lake.delete_file(path).await;
    }
    let applied = lake.apply(&table, &operation).await.unwrap();
    assert_eq!((applied.rows.updated, applied.rows.copied), (1, 4));
}

/// Whether the bounds of a file hold this key.
fn holds(add: &serde_json::Value, key: i64) -> bool {
    let stats: serde_json::Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    let bound = |name: &str| stats[name]["k"].as_i64().unwrap();
    (bound("minValues")..=bound("maxValues")).contains(&key)
}

#[tokio::test]
async fn a_large_merge_touches_each_row_once() {
    let rows: Vec<Row> = (0..20_000).map(|key| row(key, ["a", "b"][(key % 2) as usize], key)).collect();
    let (lake, table) = Lake::with_rows(&[&rows[..12_000], &rows[12_000..]]).await;
    let source: Vec<Row> = (10_000..30_000).map(|key| row(key, ["a", "b"][(key % 2) as usize], -key)).collect();
    let source: Vec<_> = source.chunks(3000).map(batch).collect();
    let applied = merge(&lake, &table, &source, upsert()).await.unwrap();
    assert_eq!((applied.rows.updated, applied.rows.inserted), (10_000, 10_000));
    let found = lake.rows().await;
    assert!(found.iter().map(|row| row.0.unwrap()).eq(0..30_000));
    assert!(found.iter().all(|row| row.2.unwrap() == if row.0.unwrap() < 10_000 { 1 } else { -1 } * row.0.unwrap()));
}
