//! The bytes of uploads, and deleted tables.

use axum::http::Method;
use serde_json::json;
use sluice_tests::{TestLake, assert_problem};

use super::{apply, define, files, folder_of, items, plan, plan_with_items};

#[tokio::test]
async fn bytes_that_expired_are_gone_and_whoever_asks_is_told() {
    let lake = TestLake::open().await;
    let upload = lake.upload("a.t", "?format=csv", "id\n1\n").await.expect(201);
    lake.upload("b.t", "?format=csv", "id\n1\n").await.expect_status(201);
    define(&lake, "short", json!({"namespace": "a"}), json!({"expire_objects": {"after": "1s"}})).await;
    let planned = plan_with_items(&lake).await;
    assert_eq!((items(&planned).len(), &items(&planned)[0]["upload_id"]), (1, &upload["upload_id"]));
    let done = apply(&lake, &planned).await;
    assert_eq!(
        (done["done"].as_u64(), done["freed_bytes"].as_u64()),
        (Some(1), upload["bytes_received"].as_u64()),
        "{done}"
    );
    let uploads = lake.data_dir().join("raw/uploads");
    assert_eq!(files(&uploads).len(), 1, "those of the other namespace stay");
    let content = lake.get(&format!("/api/v1/uploads/{}/content", upload["upload_id"].as_str().unwrap())).await;
    let problem = assert_problem(&content, 410, "content-expired");
    assert!(problem["detail"].as_str().unwrap().contains(upload["sha256"].as_str().unwrap()), "{problem}");
    assert_eq!(lake.count("a.t").await, 1, "the rows stay");
    let closed = lake.close().await;
    assert_eq!(crate::integrity::findings(closed.data_dir()).await, [], "what a rule removed is not missing");
}

#[tokio::test]
async fn a_class_of_a_local_folder_is_noted_and_honestly_named() {
    let lake = TestLake::open().await;
    let upload = lake.upload("a.t", "?format=csv", "id\n1\n").await.expect(201);
    let steps =
        json!([{"after": "1s", "storage_class": "GLACIER"}, {"after": "365d", "storage_class": "DEEP_ARCHIVE"}]);
    define(&lake, "cold", json!({"prefix": "raw/uploads/a"}), json!({"transition": {"steps": steps}})).await;
    let planned = plan_with_items(&lake).await;
    let item = &items(&planned)[0];
    assert_eq!((&item["simulated"], item["parameters"]["to"].as_str()), (&json!(true), Some("GLACIER")));
    let done = apply(&lake, &planned).await;
    assert!(items(&done)[0]["detail"].as_str().unwrap().contains("noted in the catalog"), "{done}");
    assert!(items(&plan(&lake).await).is_empty());
    let path = format!("/api/v1/uploads/{}/content", upload["upload_id"].as_str().unwrap());
    assert_eq!(lake.get(&path).await.text(), "id\n1\n", "a folder gives back what is in it");
}

#[tokio::test]
async fn a_deleted_table_is_purged_after_its_window_and_cannot_be_restored_then() {
    let lake = TestLake::open().await;
    for table in ["a.gone", "a.kept"] {
        lake.upload(table, "?format=csv", "id\n1\n").await.expect_status(201);
    }
    let (gone, kept) = (folder_of(&lake, "a.gone").await, folder_of(&lake, "a.kept").await);
    lake.call(Method::DELETE, "/api/v1/tables/a/gone").send().await.expect_status(204);
    define(&lake, "long", json!("lake"), json!({"purge_deleted": {"after": "30d"}})).await;
    assert!(items(&plan(&lake).await).is_empty(), "its window is open");
    define(&lake, "short", json!({"table": "a.gone"}), json!({"purge_deleted": {"after": "1s"}})).await;
    let planned = plan_with_items(&lake).await;
    assert_eq!(items(&planned)[0]["overridden"], json!(["long"]));
    assert!(items(&planned)[0]["size_bytes"].as_u64() > Some(0) && !files(&gone).is_empty());
    let done = apply(&lake, &planned).await;
    assert_eq!(items(&done)[0]["state"], "done", "{done}");
    assert!(files(&gone).is_empty() && !files(&kept).is_empty());
    let restored = lake.call(Method::POST, "/api/v1/tables/a/gone/restore").send().await;
    assert_problem(&restored, 404, "not-found");
    lake.upload("a.gone", "?format=csv", "id\n7\n").await.expect_status(201);
    assert_eq!(lake.count("a.gone").await, 1, "the name is free");
}

#[tokio::test]
async fn of_plain_tables_the_uploads_and_what_was_deleted_grow_old_and_the_rest_says_why_not() {
    let lake = TestLake::open().await;
    for table in ["a.p", "a.gone"] {
        lake.upload(table, "?format=csv&table_format=parquet", "id\n1\n").await.expect_status(201);
    }
    let gone = folder_of(&lake, "a.gone").await;
    lake.call(Method::DELETE, "/api/v1/tables/a/gone").send().await.expect_status(204);
    let compact = json!({"below_bytes": 1_048_576, "target_bytes": 1_048_576, "min_files": 2});
    let kinds = [
        json!({"transition": {"steps": [{"after": "1s", "storage_class": "GLACIER"}]}}),
        json!({"purge_deleted": {"after": "1s"}}),
        json!({"expire_rows": {"column": "id", "after": "1s"}}),
        json!({"compact": compact}),
        json!({"versions": {"vacuum_after": "168h", "log_after": "168h"}}),
    ];
    for (at, action) in kinds.into_iter().enumerate() {
        define(&lake, &format!("rule-{at}"), json!("lake"), action).await;
    }
    let complete = async {
        loop {
            let plan = plan_with_items(&lake).await;
            if plan["pending"] == 3 {
                return plan;
            }
        }
    };
    let planned = tokio::time::timeout(super::SOON, complete).await.expect("two objects and a deleted table");
    let refused: Vec<_> = items(&planned).iter().filter_map(|item| item["refusal"].as_str()).collect();
    assert!(
        refused.len() >= 3 && refused.iter().all(|reason| reason.starts_with("a plain table has no log")),
        "{planned}"
    );
    let done = apply(&lake, &planned).await;
    assert_eq!((done["done"].as_u64(), done["failed"].as_u64()), (Some(3), Some(0)), "{done}");
    assert!(files(&gone).is_empty());
    assert_eq!(lake.count("a.p").await, 1);

    define(&lake, "keep", json!("lake"), json!({"retain": {"for": "7y"}})).await;
    define(&lake, "bytes", json!("lake"), json!({"expire_objects": {"after": "1s"}})).await;
    let kept = plan(&lake).await;
    assert_eq!(kept["pending"], 0, "{kept}");
    define(&lake, "case-7", json!({"table": "a.p"}), json!({"legal_hold": {"reason": "case 7"}})).await;
    let held = plan(&lake).await;
    assert!(items(&held).iter().any(|item| item["rule"] == "case-7"), "{held}");
}

#[tokio::test]
async fn a_table_that_was_restored_in_between_is_left_alone() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    lake.call(Method::DELETE, "/api/v1/tables/a/t").send().await.expect_status(204);
    define(&lake, "short", json!("lake"), json!({"purge_deleted": {"after": "1s"}})).await;
    let planned = plan_with_items(&lake).await;
    lake.call(Method::POST, "/api/v1/tables/a/t/restore").send().await.expect_status(200);
    let done = apply(&lake, &planned).await;
    assert_eq!((items(&done)[0]["state"].as_str(), lake.count("a.t").await), (Some("skipped"), 1), "{done}");
}
