//! Schema versions.

use std::{collections::HashMap, sync::Arc};

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use sluice_catalog::{CatalogError, NewSchemaVersion};
use sluice_domain::{PageRequest, PageToken, RunId, TableId, UploadId};
use uuid::Uuid;

use crate::samples::{Lake, page};

fn schema(columns: usize) -> Schema {
    let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("Total \"Amount\"", DataType::Decimal128(38, 9), false),
        Field::new("at", at, true),
        Field::new("tags", DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))), true),
    ];
    fields.extend((0..columns).map(|number| Field::new(format!("c{number}"), DataType::Int64, true)));
    let metadata = (0..20).map(|number| (format!("k{number}"), "v".to_owned())).collect::<HashMap<_, _>>();
    Schema::new(fields).with_metadata(metadata)
}

fn version(table_id: TableId, table_version: u64, schema: Schema) -> NewSchemaVersion {
    NewSchemaVersion {
        table_id,
        table_version,
        schema,
        upload_id: Some(UploadId(Uuid::now_v7())),
        run_id: Some(RunId(Uuid::now_v7())),
        principal: "ada".into(),
    }
}

#[tokio::test]
async fn a_schema_is_given_back_exactly() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    assert!(lake.catalog.schemas().latest(table).await.unwrap().is_none());
    let new = version(table, 0, schema(2));
    let recorded = lake.catalog.schemas().record(&new).await.unwrap();
    assert_eq!((recorded.number, recorded.table_version, recorded.principal.as_str()), (1, 0, "ada"));
    assert_eq!((&recorded.schema, recorded.upload_id), (&new.schema, new.upload_id));
    assert_eq!(recorded.run_id, new.run_id);

    let lake = lake.reopen().await;
    let latest = lake.catalog.schemas().latest(table).await.unwrap().unwrap();
    assert_eq!(format!("{:?}", latest.created_at), format!("{:?}", recorded.created_at));
    assert_eq!((latest.number, latest.schema, latest.upload_id), (1, new.schema, new.upload_id));
}

#[tokio::test]
async fn recording_again_or_without_a_change_makes_nothing_new() {
    let lake = Lake::open().await;
    let schemas = lake.catalog.schemas();
    let table = lake.active_table("nyc.flights").await.id;
    let mut numbers = Vec::new();
    for (table_version, columns) in [(0, 1), (0, 1), (5, 1), (6, 2), (6, 2), (0, 1), (3, 9), (7, 1)] {
        let recorded = schemas.record(&version(table, table_version, schema(columns))).await.unwrap();
        numbers.push((recorded.number, recorded.table_version));
    }
    assert_eq!(numbers, [(1, 0), (1, 0), (1, 0), (2, 6), (2, 6), (1, 0), (2, 6), (3, 7)]);
    assert_eq!(schemas.list(table, &PageRequest::default()).await.unwrap().items.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_record_one_table_version_at_once_one_does() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let tasks: Vec<_> = (0..16)
        .map(|columns| {
            let catalog = lake.catalog.clone();
            tokio::spawn(async move { catalog.schemas().record(&version(table, 4, schema(columns))).await.unwrap() })
        })
        .collect();
    let mut recorded = Vec::new();
    for task in tasks {
        recorded.push(task.await.unwrap());
    }
    assert!(recorded.iter().all(|version| version.number == 1 && version.schema == recorded[0].schema));
}

#[tokio::test]
async fn the_history_is_listed_newest_first_and_each_table_has_its_own() {
    let lake = Lake::open().await;
    let schemas = lake.catalog.schemas();
    let table = lake.active_table("nyc.flights").await.id;
    let other = lake.active_table("nyc.taxis").await.id;
    for number in 0..12 {
        schemas.record(&version(table, number, schema(number as usize))).await.unwrap();
    }
    assert_eq!(schemas.record(&version(other, 3, schema(0))).await.unwrap().number, 1);

    let (mut numbers, mut token) = (Vec::new(), None);
    loop {
        let listed = schemas.list(table, &page(5, token)).await.unwrap();
        numbers.extend(listed.items.iter().map(|version| version.number));
        token = listed.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(numbers, (1..=12).rev().collect::<Vec<_>>());
    let foreign = page(5, Some(PageToken::after("nyc.flights")));
    assert!(schemas.list(table, &foreign).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_table_that_does_not_exist_has_no_schema() {
    let lake = Lake::open().await;
    let absent = TableId(Uuid::now_v7());
    let error = lake.catalog.schemas().record(&version(absent, 0, schema(1))).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    assert!(lake.catalog.schemas().list(absent, &PageRequest::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_schema_nested_too_deeply_to_be_read_back_is_not_stored() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let deep = (0..100).fold(DataType::Int64, |inner, _| DataType::Struct(vec![Field::new("f", inner, true)].into()));
    let new = version(table, 0, Schema::new(vec![Field::new("deep", deep, true)]));
    let error = lake.catalog.schemas().record(&new).await.unwrap_err();
    assert!(matches!(error, CatalogError::Corrupt { .. }), "{error:?}");
    assert!(lake.catalog.schemas().latest(table).await.unwrap().is_none());
}

#[tokio::test]
async fn a_table_version_beyond_what_is_stored_is_refused() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    assert!(lake.catalog.schemas().record(&version(table, u64::MAX, schema(1))).await.is_err());
    assert_eq!(lake.catalog.schemas().record(&version(table, i64::MAX as u64, schema(1))).await.unwrap().number, 1);
}
