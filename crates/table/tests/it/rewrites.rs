//! Deletes, overwrites, compactions and z-orders.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use rstest::rstest;
use sluice_domain::Failure as _;
use sluice_table::{
    CommitFailure, Compact, DataFile, Delete, MergeRule, Operation, Overwrite, Provenance, Scope, Table, TableError,
    Transaction, ZOrder,
};

use crate::lake::{Lake, Row, batch, row, upload};

fn delete(predicate: &str) -> Operation {
    Operation::Delete(Delete { predicate: predicate.to_owned() })
}

#[rstest]
#[case("v > 10", &[1, 3, 4], 1)]
#[case("NOT (v > 10)", &[2, 3, 4], 1)]
#[case("v IS NULL", &[1, 2], 2)]
#[case("v = NULL", &[1, 2, 3, 4], 0)]
#[case("p = 'a'", &[2], 3)]
#[case("p = 'a' AND k < 3", &[2, 3, 4], 1)]
#[case("p = 'nothing'", &[1, 2, 3, 4], 0)]
#[case("true", &[], 4)]
#[case("upper(p) LIKE 'B%' OR k IN (1, 4)", &[3], 3)]
#[tokio::test]
async fn only_rows_for_which_the_condition_is_true_are_deleted(
    #[case] predicate: &str,
    #[case] left: &[i64],
    #[case] deleted: u64,
) {
    let unknown = |key| (Some(key), Some("a".to_owned()), None);
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 10), row(2, "b", 20)], &[unknown(3), unknown(4)]]).await;
    let applied = lake.apply(&table, &delete(predicate)).await.unwrap();
    let keys: Vec<i64> = lake.rows().await.into_iter().map(|row| row.0.unwrap()).collect();
    assert_eq!(keys, left);
    assert_eq!((applied.rows.deleted, applied.entry.is_some()), (deleted, deleted > 0));
}

#[rstest]
#[case("v")]
#[case("")]
#[case("nope = 1")]
#[case("random() > 0.5")]
#[case("repeat(p, 1000000000) = 'a'")]
#[case("k IN (SELECT 1)")]
#[case("EXISTS (SELECT 1)")]
#[case("count(v) > 1")]
#[case("v = $1")]
#[case("v = 1; DELETE FROM t")]
#[case(&format!("v = 1{}", " OR v = 2".repeat(200)))]
#[case(&format!("p = '{}'", "x".repeat(70_000)))]
#[tokio::test]
async fn a_condition_that_is_not_one_of_a_row_is_refused(#[case] predicate: &str) {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 10)]]).await;
    let error = lake.apply(&table, &delete(predicate)).await.unwrap_err();
    assert_eq!(error.code(), "bad-predicate", "{error:?}");
    assert_eq!(lake.rows().await.len(), 1);
}

#[tokio::test]
async fn a_condition_at_the_limit_of_its_length_is_taken() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 10), row(2, "a", 2)]]).await;
    let applied = lake.apply(&table, &delete(&format!("v = 1{}", " OR v = 2".repeat(127)))).await.unwrap();
    assert_eq!(applied.rows.deleted, 1);
}

#[tokio::test]
async fn bounds_spare_no_file_that_has_a_row_of_the_condition() {
    let slices: Vec<Vec<Row>> =
        (0..10).map(|slice| (0..10).map(|at| row(slice * 10 + at, "a", at)).collect()).collect();
    let slices: Vec<&[Row]> = slices.iter().map(Vec::as_slice).collect();
    let (lake, table) = Lake::with_rows(&slices).await;
    let before = lake.live().await;
    let applied = lake.apply(&table, &delete("k BETWEEN 19 AND 20 OR k = 55")).await.unwrap();
    assert_eq!((applied.rows.deleted, applied.rows.copied), (3, 27));
    let after = lake.live().await;
    assert_eq!(before.keys().filter(|path| after.contains_key(*path)).count(), 7);
    assert_eq!(lake.rows().await.len(), 97);
    // What is spared is not read: a file that is gone harms no condition that its bounds exclude.
    use object_store::ObjectStoreExt as _;
    let of_first = |add: &serde_json::Value| {
        let stats: serde_json::Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
        stats["maxValues"]["k"] == 9
    };
    let path = after.iter().find(|(_, add)| of_first(add)).unwrap().0;
    lake.folder.store.delete(&object_store::path::Path::parse(path.replace("%3D", "=")).unwrap()).await.unwrap();
    assert_eq!(lake.apply(&table, &delete("k = 91")).await.unwrap().rows.deleted, 1);
    assert!(lake.apply(&table, &delete("k = 5")).await.is_err());
}

#[tokio::test]
async fn a_file_that_is_not_live_cannot_be_removed() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)], &[row(2, "a", 2)]]).await;
    let rewrite = table.prepare(&Operation::Compact(Compact::default()), &lake.workspace()).await.unwrap();
    table.commit(&rewrite, &Provenance::default()).await.unwrap().unwrap();
    for table in [&table, &lake.open()] {
        let error = table.commit(&rewrite, &Provenance::default()).await.unwrap_err();
        assert!(matches!(error, TableError::Commit(CommitFailure::FileNotLive { .. })), "{error:?}");
    }
    assert_eq!((lake.log().await.len(), lake.rows().await.len()), (3, 2));
}

#[tokio::test]
async fn an_operation_of_an_upload_happens_once_and_is_recorded_even_if_it_changes_nothing() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1), row(2, "a", 2)]]).await;
    for (sequence, predicate) in [(7, "k = 1"), (8, "k = 100")] {
        let transaction = Some(Transaction { app_id: "app".to_owned(), sequence });
        let uploads = vec![upload(&sequence.to_string())];
        let of = Provenance { transaction, uploads, ..Provenance::default() };
        let recorded = AtomicUsize::new(0);
        let record = |files: Vec<DataFile>| {
            recorded.fetch_add(files.len(), Ordering::SeqCst);
            async { Ok(()) }
        };
        let first = table.apply(&delete(predicate), &lake.workspace(), &of, record).await.unwrap();
        let again = lake.open().apply(&delete(predicate), &lake.workspace(), &of, record).await.unwrap();
        assert_eq!(first.entry, again.entry);
        assert_eq!(first.entry.unwrap().version, sequence as u64 - 6);
        assert_eq!(recorded.load(Ordering::SeqCst), usize::from(sequence == 7));
    }
    assert_eq!(lake.log().await.len(), 3);
}

#[tokio::test]
async fn an_overwrite_replaces_what_it_names() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1), row(2, "b", 2), row(3, "c", 3)]]).await;
    let partition = |value: &str| BTreeMap::from([("p".to_owned(), Some(value.to_owned()))]);
    let scope = Scope::Partitions(vec![partition("a"), partition("b")]);
    let files = lake.write(&[row(4, "a", 4)]).await;
    lake.apply(&table, &Operation::Overwrite(Overwrite { scope: scope.clone(), files })).await.unwrap();
    assert_eq!(lake.rows().await, [row(3, "c", 3), row(4, "a", 4)]);
    let files = lake.write(&[row(5, "c", 5)]).await;
    let outside = lake.apply(&table, &Operation::Overwrite(Overwrite { scope, files: files.clone() })).await;
    assert_eq!(outside.unwrap_err().code(), "bad-partitioning");
    let scope = Scope::Partitions(vec![BTreeMap::from([("v".to_owned(), None)])]);
    let unknown = lake.apply(&table, &Operation::Overwrite(Overwrite { scope, files: Vec::new() })).await;
    assert_eq!(unknown.unwrap_err().code(), "bad-partitioning");
    lake.apply(&table, &Operation::Overwrite(Overwrite { scope: Scope::All, files })).await.unwrap();
    assert_eq!(lake.rows().await, [row(5, "c", 5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_compactions_at_the_same_time_leave_every_row_once() {
    for _ in 0..10 {
        let slices: Vec<Vec<Row>> =
            (0..8).map(|slice| (0..50).map(|at| row(slice * 50 + at, "a", at)).collect()).collect();
        let slices: Vec<&[Row]> = slices.iter().map(Vec::as_slice).collect();
        let (lake, table) = Lake::with_rows(&slices).await;
        let other = lake.open();
        let (compact, z_order) = (Operation::Compact(Compact::default()), z_order(1 << 20));
        let (one, two) = tokio::join!(lake.apply(&table, &compact), lake.apply(&other, &z_order));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        let keys: Vec<i64> = lake.rows().await.into_iter().map(|row| row.0.unwrap()).collect();
        assert_eq!(keys, (0..400).collect::<Vec<_>>());
        assert_eq!(lake.live().await.len(), 1);
    }
}

fn z_order(target_bytes: u64) -> Operation {
    Operation::ZOrder(ZOrder { columns: vec!["k".to_owned(), "v".to_owned()], target_bytes })
}

#[tokio::test]
async fn a_compaction_says_that_no_row_changed_and_has_nothing_to_do_twice() {
    let (lake, table) =
        Lake::with_rows(&[&[row(1, "a", 1), row(2, "b", 2)], &[row(3, "a", 3)], &[row(4, "c", 4)]]).await;
    let compact = Operation::Compact(Compact::default());
    let applied = lake.apply(&table, &compact).await.unwrap();
    assert_eq!(applied.rows.copied, 2);
    let log = lake.log().await;
    let actions: Vec<_> =
        log[3].iter().flat_map(|line| [&line["add"], &line["remove"]]).filter(|a| a.is_object()).collect();
    assert!(actions.len() == 3 && actions.iter().all(|action| action["dataChange"] == false), "{actions:?}");
    assert_eq!(lake.rows().await.len(), 4);
    assert!(lake.apply(&table, &compact).await.unwrap().entry.is_none());
}

#[tokio::test]
async fn what_one_compaction_leaves_over_the_next_one_takes() {
    let slices: Vec<Vec<Row>> = (0..6).map(|key| vec![row(key, "a", key)]).collect();
    let slices: Vec<&[Row]> = slices.iter().map(Vec::as_slice).collect();
    let (lake, table) = Lake::with_rows(&slices).await;
    let size = lake.live().await.values().map(|add| add["size"].as_u64().unwrap()).max().unwrap();
    let compact = Compact { max_input_bytes: size * 3, ..Compact::default() };
    lake.apply(&table, &Operation::Compact(compact.clone())).await.unwrap();
    assert_eq!(lake.live().await.len(), 4);
    while lake.apply(&table, &Operation::Compact(compact.clone())).await.unwrap().entry.is_some() {}
    assert_eq!(lake.rows().await.len(), 6);
}

#[tokio::test]
async fn maintenance_that_was_taken_over_is_fenced() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)], &[row(2, "a", 2)]]).await;
    let rewrite = table.prepare(&Operation::Compact(Compact::default()), &lake.workspace()).await.unwrap();
    let epoch = |epoch| Provenance { epoch: Some(epoch), ..Provenance::default() };
    let property = sluice_table::SchemaChange::SetProperties(BTreeMap::from([("x".to_owned(), Some("y".to_owned()))]));
    let taken_over = lake.open();
    let change = taken_over.prepare(&Operation::Schema(property), &lake.workspace()).await.unwrap();
    taken_over.commit(&change, &epoch(8)).await.unwrap().unwrap();
    let error = table.commit(&rewrite, &epoch(7)).await.unwrap_err();
    assert!(matches!(error, TableError::Commit(CommitFailure::Fenced { epoch: 7, newer: 8 })), "{error:?}");
    table.commit(&rewrite, &epoch(8)).await.unwrap().unwrap();
    assert_eq!(lake.rows().await.len(), 2);
}

#[tokio::test]
async fn z_order_brings_near_values_into_the_same_files() {
    // A multiplicative walk visits every number once in no order.
    let rows: Vec<Row> = (0..20_000_i64).map(|at| row(at * 7919 % 20_000, "a", at * 104_729 % 19_997)).collect();
    let slices: Vec<&[Row]> = rows.chunks(5000).collect();
    let (lake, table) = Lake::with_rows(&slices).await;
    let mut workspace = lake.workspace();
    workspace.sort_memory_bytes = 8 << 20;
    workspace.writer.memory_bytes = 64 << 10;
    let applied =
        table.apply(&z_order(16 << 10), &workspace, &Provenance::default(), |_| async { Ok(()) }).await.unwrap();
    assert_eq!(applied.rows.copied, 20_000);
    let mut found = lake.rows().await;
    let mut expected = rows;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let stats: Vec<serde_json::Value> =
        lake.live().await.values().map(|add| serde_json::from_str(add["stats"].as_str().unwrap()).unwrap()).collect();
    let touches = |stats: &&serde_json::Value, column: &str| {
        stats["minValues"][column].as_i64().unwrap() <= 5100 && stats["maxValues"][column].as_i64().unwrap() >= 5000
    };
    assert!(stats.len() >= 8, "{}", stats.len());
    for column in ["k", "v"] {
        let touched = stats.iter().filter(|stats| touches(stats, column)).count();
        assert!(touched * 10 <= stats.len() * 7, "{column}: {touched} of {}", stats.len());
    }
}

#[rstest]
#[case(&["p"], "unchangeable-column")]
#[case(&["nope"], "unknown-column")]
#[case(&[], "unchangeable-column")]
#[tokio::test]
async fn an_order_that_cannot_be_is_refused(#[case] columns: &[&str], #[case] code: &str) {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    let error = lake.apply(&table, &Operation::ZOrder(ZOrder { columns, target_bytes: 1 })).await.unwrap_err();
    assert_eq!(error.code(), code);
}

#[tokio::test]
async fn partition_values_of_every_kind_survive_every_operation() {
    let values = ["a/b", "😈", "..", " sp ace ", "50%", "ü/x", "a=b", "%2e%2e", "a/../b", "12:00", "\\", "null"];
    let mut rows: Vec<Row> = values.iter().enumerate().map(|(at, value)| row(at as i64, value, 1)).collect();
    rows.push((Some(99), None, Some(1)));
    let more: Vec<Row> = rows.iter().map(|row| (row.0.map(|key| key + 100), row.1.clone(), Some(2))).collect();
    let (lake, table) = Lake::with_rows(&[&rows, &more]).await;
    let mut model: BTreeMap<_, _> = rows.iter().chain(&more).map(|row| (row.0, row.clone())).collect();
    check(&lake, &table, &model).await;
    let source: Vec<Row> = rows.iter().map(|row| (row.0, row.1.clone(), Some(3))).collect();
    let merge = lake.merge(MergeRule::upsert(&["k"]), &[batch(&source)]).unwrap();
    for operation in [merge.clone(), merge] {
        let applied = lake.apply(&table, &operation).await.unwrap();
        assert_eq!((applied.rows.updated, applied.rows.inserted), (13, 0));
        model.extend(source.iter().map(|row| (row.0, row.clone())));
        check(&lake, &table, &model).await;
    }
    for operation in [Operation::Compact(Compact::default()), z_order(1 << 20)] {
        lake.apply(&table, &operation).await.unwrap();
        check(&lake, &table, &model).await;
        assert_eq!(lake.live().await.len(), 13);
    }
    for value in values {
        let applied = lake.apply(&table, &delete(&format!("p = '{value}' AND v = 2"))).await.unwrap();
        assert_eq!(applied.rows.deleted, 1, "{value}");
    }
    model.retain(|_, row| row.1.is_none() || row.2 != Some(2));
    check(&lake, &table, &model).await;
}

async fn check(lake: &Lake, table: &Table, model: &BTreeMap<Option<i64>, Row>) {
    let found: HashSet<Row> = lake.rows().await.into_iter().collect();
    assert_eq!(found, model.values().cloned().collect());
    assert_eq!(lake.rows().await.len(), model.len());
    assert_eq!(table.describe(None).await.unwrap().rows, Some(model.len() as u64));
    table.scan(None).await.unwrap();
}
