//! A table's layout in the files that operations write.

use arrow::{array::AsArray as _, datatypes::Int64Type};
use object_store::{ObjectStoreExt as _, path::Path};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use sluice_domain::TableLayout;
use sluice_table::{Compact, NewTable, Operation, ZOrder};

use crate::lake::{Lake, row};

/// A table that is sorted by `v`, of two files whose rows are not in its order.
async fn sorted_table() -> (Lake, sluice_table::Table) {
    let lake = Lake::new();
    let table = lake.open();
    let layout = TableLayout {
        sort_by: vec!["v".into()],
        bloom_filter: vec!["k".into()],
        target_file_bytes: Some(1 << 20),
        ..TableLayout::default()
    };
    let new = NewTable { layout: layout.clone(), ..lake.new_table() };
    let first: Vec<_> = (0..50).map(|at| row(at, "a", (at * 37) % 50)).collect();
    table.create(&new, &lake.commit("base", lake.write(&first).await)).await.unwrap();
    let second: Vec<_> = (50..100).map(|at| row(at, "a", (at * 31) % 70)).collect();
    table.append(&lake.commit("base", lake.write(&second).await)).await.unwrap();
    assert_eq!(table.describe(None).await.unwrap().layout, layout);
    (lake, table)
}

/// The only live file: its values of `v`, and whether it says that it is sorted and has a filter.
async fn only_file(lake: &Lake) -> (Vec<i64>, bool, bool) {
    let live = lake.live().await;
    assert_eq!(live.len(), 1);
    let path = live.keys().next().unwrap();
    let rows = lake.read_file(path).await;
    let values =
        rows.iter().flat_map(|batch| batch.column_by_name("v").unwrap().as_primitive::<Int64Type>().values().to_vec());
    let object = lake.folder.store.get(&Path::parse(path).unwrap()).await.unwrap().bytes().await.unwrap();
    let metadata = ArrowReaderMetadata::load(&object, ArrowReaderOptions::new()).unwrap();
    let group = metadata.metadata().row_group(0);
    let is_sorted = group.sorting_columns().is_some_and(|columns| columns[0].column_idx == 1);
    (values.collect(), is_sorted, group.column(0).bloom_filter_offset().is_some())
}

#[tokio::test]
async fn what_compaction_writes_is_laid_out_as_the_table_says() {
    let (lake, table) = sorted_table().await;
    let before = lake.rows().await;
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    let (values, is_sorted, has_filter) = only_file(&lake).await;
    assert!(values.is_sorted() && values.len() == 100, "{values:?}");
    assert!(is_sorted && has_filter);
    assert_eq!(lake.rows().await, before);
}

#[tokio::test]
async fn rows_on_a_curve_do_not_say_that_they_are_sorted() {
    let (lake, table) = sorted_table().await;
    let z_order = ZOrder { columns: vec!["k".into(), "v".into()], target_bytes: 1 << 20 };
    lake.apply(&table, &Operation::ZOrder(z_order)).await.unwrap();
    let (values, is_sorted, has_filter) = only_file(&lake).await;
    assert_eq!((values.len(), is_sorted, has_filter), (100, false, true));
}
