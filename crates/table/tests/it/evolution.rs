//! Columns that are added and types that are widened together with rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::array_value_to_string,
};
use futures::TryStreamExt as _;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Failure as _;
use sluice_table::{
    CommittedEntry, Compact, DataFile, Delete, NewTable, Operation, SchemaChange, Table, TableError, Workspace,
};

use crate::lake::{Lake, batch, row, schema};

const NTZ: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn with(schema: &Schema, name: &str, data_type: DataType) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    match fields.iter_mut().find(|field| field.name() == name) {
        Some(field) => *field = Field::new(name, data_type, true),
        None => fields.push(Field::new(name, data_type, true)),
    }
    Arc::new(Schema::new(fields))
}

/// Rows of these columns; what is not given is missing.
fn rows_of(schema: &SchemaRef, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let length = columns[0].1.len();
    let column = |field: &Arc<Field>| {
        let given = columns.iter().find(|(name, _)| name == field.name()).map(|(_, column)| Arc::clone(column));
        given.unwrap_or_else(|| arrow::array::new_null_array(field.data_type(), length))
    };
    RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect()).unwrap()
}

async fn evolve(
    lake: &Lake,
    table: &Table,
    app: &str,
    (base, rows): (&SchemaRef, &RecordBatch),
) -> Result<CommittedEntry, TableError> {
    let commit = lake.commit(app, lake.write_batch(rows).await);
    table.append_evolving(&commit, (base, &rows.schema()), &lake.workspace(), |_| async { Ok(()) }).await
}

/// Every row as text, as the query engine reads it.
async fn texts(table: &Table) -> BTreeSet<Vec<String>> {
    let provider = table.scan(None).await.unwrap().provider;
    let context = deltalake::datafusion::prelude::SessionContext::new();
    let batches = context.read_table(provider).unwrap().execute_stream().await.unwrap();
    let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
    let text = |batch: &RecordBatch, row| {
        batch.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect()
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| text(batch, row)).collect::<Vec<_>>()).collect()
}

fn expected(rows: &[&[&str]]) -> BTreeSet<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|text| (*text).to_owned()).collect()).collect()
}

#[tokio::test]
async fn a_column_comes_in_the_commit_of_its_first_rows() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let wider = with(&schema(), "x", DataType::Utf8);
    let rows =
        rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![2]))), ("x", Arc::new(StringArray::from(vec!["new"])))]);
    let entry = evolve(&lake, &table, "app", (&schema(), &rows)).await.unwrap();
    assert_eq!((entry.version, entry.uploads().len()), (1, 1));
    let lines = &lake.log().await[1];
    let kinds: Vec<_> = lines.iter().map(|line| line.as_object().unwrap().keys().next().unwrap().clone()).collect();
    assert_eq!(kinds, ["commitInfo", "metaData", "txn", "add"]);
    assert_eq!(lines[0]["commitInfo"]["isBlindAppend"], false);
    assert_eq!(texts(&lake.open()).await, expected(&[&["1", "a", "1", ""], &["2", "", "", "new"]]));
}

#[tokio::test]
async fn a_commit_that_is_tried_again_is_answered_with_its_entry() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let wider = with(&schema(), "x", DataType::Utf8);
    let commit =
        lake.commit("app", lake.write_batch(&rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![2])))])).await);
    let append = async || {
        let recorded = |_| async { Ok(()) };
        lake.open().append_evolving(&commit, (&schema(), &wider), &lake.workspace(), recorded).await.unwrap()
    };
    assert_eq!(append().await, append().await);
    assert_eq!((lake.log().await.len(), table.describe(None).await.unwrap().rows), (2, Some(2)));
}

#[tokio::test]
async fn wider_types_write_the_files_anew_as_a_rearrangement() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1), row(2, "b", 2)], &[row(3, "a", i64::MAX)]]).await;
    let properties = BTreeMap::from([("delta.appendOnly".to_owned(), Some("true".to_owned()))]);
    lake.apply(&table, &Operation::Schema(SchemaChange::SetProperties(properties))).await.unwrap();
    let wider = with(&schema(), "v", DataType::Decimal128(38, 0));
    let huge = arrow::array::Decimal128Array::from(vec![10_i128.pow(30)]).with_precision_and_scale(38, 0).unwrap();
    let rows = rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![4]))), ("v", Arc::new(huge))]);
    let seen = std::sync::Mutex::new(Vec::new());
    let commit = lake.commit("app", lake.write_batch(&rows).await);
    let record = |files: Vec<DataFile>| {
        seen.lock().unwrap().extend(files.iter().map(|file| file.path().to_owned()));
        async { Ok(()) }
    };
    table.append_evolving(&commit, (&schema(), &wider), &lake.workspace(), record).await.unwrap();
    let lines = lake.log().await.pop().unwrap();
    let of = |kind: &str| lines.iter().map(|line| line[kind].clone()).filter(Value::is_object).collect::<Vec<_>>();
    assert!(of("remove").len() == 3 && of("remove").iter().all(|remove| remove["dataChange"] == false));
    assert_eq!(of("add").iter().filter(|add| add["dataChange"] == true).count(), 1);
    let mut added: Vec<_> = of("add").iter().map(|add| add["path"].as_str().unwrap().to_owned()).collect();
    let mut seen = seen.into_inner().unwrap();
    added.sort();
    seen.sort();
    assert_eq!(added, seen);
    let max = i64::MAX.to_string();
    let huge = 10_i128.pow(30).to_string();
    let all = expected(&[&["1", "a", "1"], &["2", "b", "2"], &["3", "a", &max], &["4", "", &huge]]);
    assert_eq!(texts(&lake.open()).await, all);
    for path in lake.live().await.keys() {
        let v = lake.read_file(path).await[0].column_by_name("v").unwrap().data_type().clone();
        assert_eq!(v, DataType::Decimal128(38, 0));
    }
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    assert_eq!(texts(&lake.open()).await, all);
}

/// Rows of two partition columns.
fn parted() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("p", DataType::Utf8, true),
        Field::new("day", DataType::Date32, true),
        Field::new("n", DataType::Int32, true),
    ]))
}

fn parted_rows(schema: &SchemaRef, n: ArrayRef) -> RecordBatch {
    let p = StringArray::from(vec![Some("a/b=c %"), None, Some("ü")]);
    let day = Date32Array::from(vec![Some(19_000), Some(19_001), None]);
    rows_of(schema, &[("p", Arc::new(p)), ("day", Arc::new(day)), ("n", n)])
}

async fn write_parted(lake: &Lake, rows: &RecordBatch) -> Vec<DataFile> {
    lake.write_by(rows, &["p".to_owned(), "day".to_owned()]).await
}

#[tokio::test]
async fn a_table_of_two_partition_columns_evolves_with_missing_partitions() {
    let lake = Lake::new();
    let table = lake.open();
    let partition_by = vec!["p".to_owned(), "day".to_owned()];
    let (name, layout) = ("n.t".to_owned(), Default::default());
    let new = NewTable { name, schema: parted(), partition_by, layout };
    let rows = parted_rows(&parted(), Arc::new(Int32Array::from(vec![1, 2, 3])));
    table.create(&new, &lake.commit("base", write_parted(&lake, &rows).await)).await.unwrap();
    let wider = with(&with(&parted(), "n", DataType::Float64), "note", DataType::Utf8);
    let rows = parted_rows(&wider, Arc::new(arrow::array::Float64Array::from(vec![0.5, 1.5, 2.5])));
    let commit = lake.commit("app", write_parted(&lake, &rows).await);
    let recorded = |_| async { Ok(()) };
    table.append_evolving(&commit, (&parted(), &wider), &lake.workspace(), recorded).await.unwrap();
    let (first, second) = ("2022-01-08", "2022-01-09");
    let all = expected(&[
        &["a/b=c %", first, "1.0", ""],
        &["", second, "2.0", ""],
        &["ü", "", "3.0", ""],
        &["a/b=c %", first, "0.5", ""],
        &["", second, "1.5", ""],
        &["ü", "", "2.5", ""],
    ]);
    assert_eq!(texts(&lake.open()).await, all);
    let description = lake.open().describe(None).await.unwrap();
    assert_eq!(description.partition_by, ["p", "day"]);
    assert_eq!((description.files, description.rows), (6, Some(6)));
    let wider = with(&wider, "day", NTZ);
    let base = description.schema;
    let commit = lake.commit("app", Vec::new());
    let error = table.append_evolving(&commit, (&base, &wider), &lake.workspace(), recorded).await.unwrap_err();
    assert_eq!(error.code(), "unchangeable-column", "{error}");
    assert!(error.to_string().contains("day"), "{error}");
}

/// Plan from what the table is, and again when others changed it.
async fn add_column(lake: Arc<Lake>, number: i64) {
    let table = lake.open();
    let name = format!("c{number}");
    for _ in 0..50 {
        let base = table.describe(None).await.unwrap().schema;
        let wider = with(&base, &name, DataType::Int64);
        let value: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        let rows = rows_of(&wider, &[("k", Arc::clone(&value)), (&name, value)]);
        match evolve(&lake, &table, &format!("app-{number}"), (&base, &rows)).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.code(), "schema-changed", "{error}"),
        }
    }
    panic!("{name} never came in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn columns_that_several_servers_add_at_once_are_all_there() {
    let (lake, _) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let lake = Arc::new(lake);
    let servers: Vec<_> = (1..=6).map(|number| tokio::spawn(add_column(Arc::clone(&lake), number))).collect();
    for server in servers {
        server.await.unwrap();
    }
    let found = lake.open().describe(None).await.unwrap();
    let names: BTreeSet<_> = found.schema.fields().iter().map(|field| field.name().clone()).collect();
    let wanted = ["k", "p", "v"].map(str::to_owned).into_iter().chain((1..=6).map(|number| format!("c{number}")));
    assert_eq!((names, found.rows), (wanted.collect(), Some(7)));
    let rows = texts(&lake.open()).await;
    for number in 1..=6_i64 {
        let at = found.schema.index_of(&format!("c{number}")).unwrap();
        let text = number.to_string();
        assert_eq!(rows.iter().filter(|row| row[at] == text && row[0] == text).count(), 1, "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_that_come_while_a_type_is_widened_are_neither_lost_nor_misread() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let lake = Arc::new(lake);
    let appending = {
        let lake = Arc::clone(&lake);
        tokio::spawn(async move {
            let other = lake.open();
            for number in 1..=10 {
                let commit = lake.commit("other", lake.write(&[row(number, "b", number)]).await);
                match other.append(&commit).await {
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.code(), "schema-changed", "{error}");
                        return number - 1;
                    }
                }
            }
            10
        })
    };
    let wider = with(&schema(), "v", DataType::Decimal128(20, 0));
    let rows = rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![-1])))]);
    evolve(&lake, &table, "app", (&schema(), &rows)).await.unwrap();
    let appended = appending.await.unwrap();
    let mut wanted: BTreeSet<Vec<String>> =
        (1..=appended).map(|number| vec![number.to_string(), "b".to_owned(), number.to_string()]).collect();
    wanted.extend(expected(&[&["0", "a", "0"], &["-1", "", ""]]));
    assert_eq!(texts(&lake.open()).await, wanted);
}

#[tokio::test]
async fn what_another_server_added_already_is_appended_to() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let wider = with(&schema(), "x", DataType::Utf8);
    let rows = |key: i64| rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![key])))]);
    evolve(&lake, &lake.open(), "other", (&schema(), &rows(2))).await.unwrap();
    evolve(&lake, &table, "app", (&schema(), &rows(3))).await.unwrap();
    let log = lake.log().await;
    assert_eq!(log.iter().flatten().filter(|line| line["metaData"].is_object()).count(), 2);
    let other = with(&schema(), "x", DataType::Int64);
    let rows = rows_of(&other, &[("k", Arc::new(Int64Array::from(vec![4])))]);
    let error = evolve(&lake, &table, "app", (&schema(), &rows)).await.unwrap_err();
    assert_eq!(error.code(), "schema-changed", "{error}");
    assert!(error.to_string().contains(" x "), "{error}");
    assert_eq!(table.describe(None).await.unwrap().rows, Some(3));
}

#[tokio::test]
async fn fields_within_structs_are_added_and_files_without_them_still_kept() {
    let object = |fields: Vec<Field>| DataType::Struct(fields.into());
    let x = Field::new("x", DataType::Int64, true);
    let lake = Lake::new();
    let table = lake.open();
    let narrow = with(&schema(), "s", object(vec![x.clone()]));
    let new = NewTable { schema: Arc::clone(&narrow), ..lake.new_table() };
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    let s = StructArray::try_new(vec![x.clone()].into(), vec![Arc::clone(&inner)], None).unwrap();
    let rows = rows_of(&narrow, &[("k", Arc::new(Int64Array::from(vec![1]))), ("s", Arc::new(s))]);
    table.create(&new, &lake.commit("base", lake.write_batch(&rows).await)).await.unwrap();
    let fields = vec![x, Field::new("y", DataType::Utf8, true)];
    let wide = with(&schema(), "s", object(fields.clone()));
    let s = StructArray::try_new(fields.into(), vec![inner, Arc::new(StringArray::from(vec!["y"]))], None).unwrap();
    let rows = rows_of(&wide, &[("k", Arc::new(Int64Array::from(vec![2]))), ("s", Arc::new(s))]);
    evolve(&lake, &table, "app", (&narrow, &rows)).await.unwrap();
    assert!(lake.log().await[1].iter().all(|line| line["remove"].is_null()));
    let all = expected(&[&["1", "", "", "{x: 7, y: }"], &["2", "", "", "{x: 7, y: y}"]]);
    assert_eq!(texts(&lake.open()).await, all);
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    assert_eq!((texts(&lake.open()).await, lake.live().await.len()), (all, 1));
    lake.apply(&table, &Operation::Delete(Delete { predicate: "k = 1".to_owned() })).await.unwrap();
    assert_eq!(texts(&lake.open()).await, expected(&[&["2", "", "", "{x: 7, y: y}"]]));
}

#[tokio::test]
async fn a_table_beyond_the_limit_is_not_written_anew() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let wider = with(&schema(), "v", DataType::Decimal128(20, 0));
    let rows = rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![2])))]);
    let commit = lake.commit("app", lake.write_batch(&rows).await);
    let workspace = Workspace { max_rewrite_bytes: 100, ..lake.workspace() };
    let refused = table.append_evolving(&commit, (&schema(), &wider), &workspace, |_| async { Ok(()) }).await;
    let error = refused.unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("column v ")), ("unchangeable-column", true), "{error}");
    assert!(error.to_string().contains("100"), "{error}");
    assert_eq!(lake.log().await.len(), 1);
}

#[rstest]
#[case(vec![("k", DataType::Int64), ("v", DataType::Int64)], "p")]
#[case(vec![("k", DataType::Int32), ("p", DataType::Utf8), ("v", DataType::Int64)], "k")]
#[case(vec![("p", DataType::Utf8), ("k", DataType::Int64), ("v", DataType::Int64)], "k")]
#[case(vec![("k", DataType::Int64), ("p", DataType::Utf8), ("v", DataType::Int64), ("K", DataType::Int64)], "K")]
#[case(vec![("k", DataType::Int64), ("p", DataType::Utf8), ("v", DataType::Float64)], "v")]
#[tokio::test]
async fn a_column_is_neither_dropped_nor_narrowed_nor_doubled(
    #[case] columns: Vec<(&str, DataType)>,
    #[case] named: &str,
) {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let fields: Vec<_> = columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
    let wanted = Arc::new(Schema::new(fields));
    let commit = lake.commit("app", Vec::new());
    let refused = table.append_evolving(&commit, (&schema(), &wanted), &lake.workspace(), |_| async { Ok(()) }).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), "unchangeable-column", "{error}");
    assert!(error.to_string().contains(&format!("column {named} ")), "{error}");
    assert_eq!(lake.log().await.len(), 1);
}

#[tokio::test]
async fn a_table_is_made_without_rows_once() {
    let lake = Lake::new();
    let made = lake.open().create_empty(&lake.new_table()).await.unwrap();
    assert!(matches!(made, sluice_table::CreateOutcome::Created(CommittedEntry { version: 0, .. })));
    let again = lake.open().create_empty(&lake.new_table()).await.unwrap();
    assert_eq!(again, sluice_table::CreateOutcome::Exists);
    let table = lake.open();
    assert_eq!(table.describe(None).await.unwrap().rows, Some(0));
    table.append(&lake.commit("app", lake.write_batch(&batch(&[row(1, "a", 1)])).await)).await.unwrap();
    assert_eq!(lake.rows().await.len(), 1);
}

#[tokio::test]
async fn a_date_becomes_a_timestamp_and_brings_the_protocol() {
    let lake = Lake::new();
    let table = lake.open();
    let old = with(&schema(), "d", DataType::Date32);
    let rows =
        rows_of(&old, &[("k", Arc::new(Int64Array::from(vec![1]))), ("d", Arc::new(Date32Array::from(vec![1])))]);
    let new = NewTable { schema: Arc::clone(&old), ..lake.new_table() };
    table.create(&new, &lake.commit("base", lake.write_batch(&rows).await)).await.unwrap();
    let wider = with(&old, "d", NTZ);
    let rows = rows_of(&wider, &[("k", Arc::new(Int64Array::from(vec![2])))]);
    evolve(&lake, &table, "app", (&old, &rows)).await.unwrap();
    assert_eq!(texts(&lake.open()).await, expected(&[&["1", "", "", "1970-01-02T00:00:00"], &["2", "", "", ""]]));
    let features = lake.log().await[1].iter().find_map(|line| line["protocol"]["readerFeatures"].as_array().cloned());
    assert_eq!(features, Some(vec![json!("timestampNtz")]));
}
