//! A catalog that was lost, made anew from the lake.

use std::{path::Path, sync::Arc};

use axum::http::Method;
use serde_json::{Value, json};
use sluice_catalog::Catalog;
use sluice_ingest::{IngestSettings, Integrity, Isolation, Lake, RebuiltTable};
use sluice_storage::{StorageSettings, Zones};
use sluice_table::Shelf;
use sluice_tests::{ClosedLake, TestLake};

use crate::integrity::findings;

fn integrity(data_dir: &Path, catalog: Catalog) -> Integrity {
    let zones = Arc::new(Zones::open(&StorageSettings::default(), data_dir).unwrap());
    let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
    let settings = IngestSettings { isolation: Isolation::None, ..IngestSettings::default() };
    Integrity::new(settings, Lake { zones, catalog, shelf }, &data_dir.join("scratch")).unwrap()
}

/// Lose the catalog, and make it anew.
async fn rebuilt(closed: &ClosedLake) -> Vec<RebuiltTable> {
    for entry in std::fs::read_dir(closed.data_dir()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("catalog.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let catalog = closed.catalog().await;
    let mut told = Vec::new();
    integrity(closed.data_dir(), catalog.clone()).rebuild(&mut |table| told.push(table.clone())).await.unwrap();
    catalog.close().await.unwrap();
    told
}

async fn seen(lake: &TestLake) -> Value {
    let mut seen = Vec::new();
    for path in ["", "/schema/history", "/versions", "/uploads"] {
        seen.push(lake.get(&format!("/api/v1/tables/a/t{path}")).await.expect(200));
    }
    let rows = lake.rows("SELECT * FROM a.t ORDER BY id").await;
    seen.push(Value::from(rows));
    Value::from(seen)
}

/// Take out what nobody can know any more.
fn forgetful(mut seen: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in [
                    "created_at",
                    "updated_at",
                    "started_at",
                    "landed_at",
                    "committed_at",
                    "file_name",
                    "duration_ms",
                    "options",
                    "dialect",
                    "progress",
                    "schema",
                ] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(walk);
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut seen);
    seen
}

#[tokio::test]
async fn a_lost_catalog_is_made_anew_from_the_lake() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&partition_by=day", "id,day\n1,2026-01-01\n2,2026-01-02\n").await.expect_status(201);
    lake.upload("a.t", "?format=ndjson", "{\"id\": 3, \"day\": \"2026-01-02\", \"more\": 1.5}\n")
        .await
        .expect_status(201);
    lake.upload("b.other", "?format=csv", "x\n1\nnot a number,2\n").await.expect_status(201);
    let before = seen(&lake).await;
    let closed = lake.close().await;

    let told = rebuilt(&closed).await;
    let names: Vec<String> = told.iter().map(|table| table.table.to_string()).collect();
    assert_eq!(names, ["a.t", "b.other", "b.other__quarantine"]);
    assert!(told.iter().all(|table| table.left_out.is_none() && table.missing_originals.is_empty()), "{told:?}");
    assert_eq!((told[0].versions, told[0].schemas, told[0].uploads, told[0].files), (2, 2, 2, 3));
    assert_eq!(findings(closed.data_dir()).await, []);

    let lake = closed.open().await;
    assert_eq!(forgetful(seen(&lake).await), forgetful(before));
    lake.upload("a.t", "?format=csv", "id,day\n4,2026-01-03\n").await.expect_status(201);
    assert_eq!(lake.count("a.t").await, 4);
    let found = lake.get("/api/v1/search?q=more").await.expect(200);
    assert_eq!(found["items"][0]["name"], "a.t");
    let lineage = lake.get("/api/v1/tables/a/t/lineage?direction=upstream").await;
    lineage.expect_status(200);
    assert!(lineage.text().contains("uploads/a/t/"), "{}", lineage.text());
}

#[tokio::test]
async fn of_tables_with_one_name_the_last_one_lives() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    lake.call(Method::DELETE, "/api/v1/tables/a/t").send().await.expect_status(204);
    lake.upload("a.t", "?format=csv", "id\n2\n").await.expect_status(201);
    let closed = lake.close().await;
    let told = rebuilt(&closed).await;
    let states: Vec<&str> = told.iter().map(|table| table.state.as_str()).collect();
    assert_eq!(states, ["deleted", "active"]);
    let lake = closed.open().await;
    assert_eq!(lake.rows("SELECT id FROM a.t").await, [json!({"id": 2})]);
    lake.call(Method::DELETE, "/api/v1/tables/a/t").send().await.expect_status(204);
    lake.post("/api/v1/tables/a/t/restore", &[], "").await.expect_status(200);
    assert_eq!(lake.rows("SELECT id FROM a.t").await, [json!({"id": 2})]);
}

#[tokio::test]
async fn a_catalog_that_holds_something_is_not_made_anew() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let error = integrity(closed.data_dir(), catalog.clone()).rebuild(&mut |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("holds something already"), "{error}");
    catalog.close().await.unwrap();
}
