//! Changes of columns and properties, and files that were written before them.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Failure as _;
use sluice_table::{CommitFailure, Compact, Delete, Operation, SchemaChange, TableError};

use crate::lake::{Lake, batch, row, schema};

fn add(name: &str, data_type: DataType) -> Operation {
    Operation::Schema(SchemaChange::AddColumns(vec![Field::new(name, data_type, true)]))
}

/// A row with a fourth column `x`.
fn wide() -> RecordBatch {
    let mut fields: Vec<_> = schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("x", DataType::Utf8, true)));
    let mut columns: Vec<ArrayRef> = batch(&[row(7, "a", 7)]).columns().to_vec();
    columns.push(Arc::new(StringArray::from(vec!["seven"])));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn files_without_a_new_column_are_taken_and_read_as_missing() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let before = lake.commit("app", lake.write(&[row(2, "a", 2)]).await);
    lake.apply(&lake.open(), &add("x", DataType::Utf8)).await.unwrap();
    table.append(&before).await.unwrap();
    table.append(&lake.commit("app", lake.write_batch(&wide()).await)).await.unwrap();
    let deleted =
        lake.apply(&table, &Operation::Delete(Delete { predicate: "x = 'nothing' OR k = 1".to_owned() })).await;
    assert_eq!(deleted.unwrap().rows.deleted, 1);
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    let live = lake.live().await;
    let batches = lake.read_file(live.keys().next().unwrap()).await;
    assert_eq!((live.len(), batches[0].num_rows()), (1, 2));
    assert_eq!(batches[0].column_by_name("x").unwrap().null_count(), 1);
    let description = table.describe(None).await.unwrap();
    assert_eq!(description.schema.field(3).name(), "x");
}

#[tokio::test]
async fn files_for_another_schema_are_refused() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let error = table.append(&lake.commit("app", lake.write_batch(&wide()).await)).await.unwrap_err();
    assert!(matches!(error, TableError::Commit(CommitFailure::SchemaChanged { .. })), "{error:?}");
    assert!(error.to_string().contains(" x "), "{error}");
    lake.apply(&table, &add("x", DataType::Int64)).await.unwrap();
    let error = table.append(&lake.commit("app", lake.write_batch(&wide()).await)).await.unwrap_err();
    assert_eq!(error.code(), "schema-changed");
    assert_eq!(lake.rows().await.len(), 1);
}

#[rstest]
#[case(SchemaChange::AddColumns(vec![Field::new("K", DataType::Int64, true)]), "unchangeable-column", "K")]
#[case(SchemaChange::AddColumns(vec![Field::new("x", DataType::Int64, false)]), "unchangeable-column", "x")]
#[case(SchemaChange::AddColumns(vec![Field::new("x", DataType::UInt64, true)]), "unsupported-type", "x")]
#[case(SchemaChange::DropColumn("p".to_owned()), "unchangeable-column", "p")]
#[case(SchemaChange::DropColumn("v".to_owned()), "unchangeable-column", "v")]
#[case(SchemaChange::DropColumn("nope".to_owned()), "unknown-column", "nope")]
#[case(SchemaChange::ChangeType { column: "v".to_owned(), data_type: DataType::Utf8 }, "unchangeable-column", "v")]
#[case(SchemaChange::SetColumnComment { column: "nope".to_owned(), comment: None }, "unknown-column", "nope")]
#[case(
    SchemaChange::SetProperties(BTreeMap::from([("delta.enableDeletionVectors".to_owned(), Some("true".to_owned()))])),
    "bad-property",
    "delta.enableDeletionVectors"
)]
#[tokio::test]
async fn a_change_that_cannot_be_is_refused_by_name(
    #[case] change: SchemaChange,
    #[case] code: &str,
    #[case] named: &str,
) {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let error = lake.apply(&table, &Operation::Schema(change)).await.unwrap_err();
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(named), "{error}");
    assert_eq!(lake.log().await.len(), 1);
}

async fn metadata(lake: &Lake) -> Value {
    let log = lake.log().await;
    log.iter().flatten().rfind(|line| line["metaData"].is_object()).unwrap()["metaData"].clone()
}

#[tokio::test]
async fn properties_and_comments_are_set_and_dropped() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    let id = metadata(&lake).await["id"].clone();
    let set = |value: Option<&str>| {
        let properties = BTreeMap::from([("owner".to_owned(), value.map(str::to_owned))]);
        Operation::Schema(SchemaChange::SetProperties(properties))
    };
    let note = |comment: Option<&str>| {
        let comment = comment.map(str::to_owned);
        Operation::Schema(SchemaChange::SetColumnComment { column: "v".to_owned(), comment })
    };
    let describe = |text: Option<&str>| Operation::Schema(SchemaChange::SetDescription(text.map(str::to_owned)));
    for operation in [set(Some("ann")), note(Some("the value")), describe(Some("a table"))] {
        assert!(lake.apply(&table, &operation).await.unwrap().entry.is_some());
        assert!(lake.apply(&table, &operation).await.unwrap().entry.is_none());
    }
    let found = metadata(&lake).await;
    assert_eq!((&found["id"], &found["configuration"]), (&id, &json!({"owner": "ann"})));
    assert_eq!(found["description"], "a table");
    assert!(found["schemaString"].as_str().unwrap().contains("the value"));
    for operation in [set(None), note(None), describe(None)] {
        lake.apply(&table, &operation).await.unwrap();
    }
    let found = metadata(&lake).await;
    assert_eq!(found["configuration"], json!({}));
    assert!(found["description"].is_null() && !found["schemaString"].as_str().unwrap().contains("the value"));
    table.append(&lake.commit("app", lake.write(&[row(2, "a", 2)]).await)).await.unwrap();
}

#[tokio::test]
async fn a_table_of_appends_only_keeps_its_rows() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)], &[row(2, "a", 2)]]).await;
    let properties = BTreeMap::from([("delta.appendOnly".to_owned(), Some("true".to_owned()))]);
    lake.apply(&table, &Operation::Schema(SchemaChange::SetProperties(properties))).await.unwrap();
    let error = lake.apply(&table, &Operation::Delete(Delete { predicate: "true".to_owned() })).await.unwrap_err();
    assert_eq!(error.code(), "append-only");
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    assert_eq!(lake.rows().await.len(), 2);
}

#[tokio::test]
async fn a_column_that_needs_a_newer_protocol_brings_it() {
    let (lake, table) = Lake::with_rows(&[&[row(1, "a", 1)]]).await;
    lake.apply(&table, &add("at", DataType::Timestamp(TimeUnit::Microsecond, None))).await.unwrap();
    let protocol = lake.log().await[1].iter().find(|line| line["protocol"].is_object()).unwrap()["protocol"].clone();
    assert_eq!((&protocol["minReaderVersion"], &protocol["minWriterVersion"]), (&json!(3), &json!(7)));
    assert_eq!(protocol["readerFeatures"], json!(["timestampNtz"]));
    assert_eq!(table.describe(None).await.unwrap().protocol, (3, 7));
    table.append(&lake.commit("app", lake.write(&[row(2, "a", 2)]).await)).await.unwrap();
    lake.apply(&table, &Operation::Compact(Compact::default())).await.unwrap();
    assert_eq!(lake.rows().await.len(), 2);
}

#[rstest]
#[case(DataType::Int64)]
#[case(DataType::Timestamp(TimeUnit::Microsecond, None))]
#[tokio::test]
async fn a_table_is_made_as_other_writers_make_it(#[case] data_type: DataType) {
    use deltalake::kernel::{StructType, engine::arrow_conversion::TryIntoKernel as _};
    let lake = Lake::new();
    let mut new = lake.new_table();
    let fields: Vec<_> = new.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    new.schema = Arc::new(Schema::new([fields, vec![Field::new("x", data_type, true)]].concat()));
    lake.open().create(&new, &lake.commit("app", lake.write(&[row(1, "a", 1)]).await)).await.unwrap();
    let columns: StructType = new.schema.as_ref().try_into_kernel().unwrap();
    let theirs = deltalake::operations::create::CreateBuilder::new()
        .with_log_store(deltalake::DeltaTable::new_in_memory().log_store())
        .with_table_name(&new.name)
        .with_columns(columns.fields().cloned())
        .with_partition_columns(&new.partition_by)
        .await
        .unwrap();
    let state = theirs.snapshot().unwrap();
    let log = lake.log().await;
    let ours = |name: &str| log[0].iter().find(|line| line[name].is_object()).unwrap()[name].clone();
    assert_eq!(ours("protocol"), serde_json::to_value(state.protocol()).unwrap());
    let (mut ours, mut theirs) = (ours("metaData"), serde_json::to_value(state.metadata()).unwrap());
    for metadata in [&mut ours, &mut theirs] {
        metadata["id"] = Value::Null;
        metadata["createdTime"] = Value::Null;
    }
    assert_eq!(ours, theirs);
}
