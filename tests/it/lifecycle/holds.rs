//! Legal holds and retention on a real lake.

use axum::http::Method;
use serde_json::json;
use sluice_tests::TestLake;

use super::{apply, define, files, items, plan_with_items};

#[tokio::test]
async fn a_legal_hold_keeps_everything_even_from_a_plan_that_was_made_before_it() {
    let lake = TestLake::open().await;
    for id in 0..3 {
        lake.upload("a.t", "?format=csv", format!("id,day\n{id},2001-01-01\n")).await.expect_status(201);
    }
    lake.upload("a.gone", "?format=csv", "id\n1\n").await.expect_status(201);
    lake.call(Method::DELETE, "/api/v1/tables/a/gone").send().await.expect_status(204);
    define(&lake, "rows", json!("lake"), json!({"expire_rows": {"column": "day", "after": "1y"}})).await;
    define(&lake, "bytes", json!("lake"), json!({"expire_objects": {"after": "1s"}})).await;
    define(&lake, "purge", json!("lake"), json!({"purge_deleted": {"after": "1s"}})).await;
    let compact = json!({"below_bytes": 1_048_576, "target_bytes": 1_048_576, "min_files": 2});
    define(&lake, "compact", json!("lake"), json!({"compact": compact})).await;
    let complete = async {
        loop {
            let plan = plan_with_items(&lake).await;
            if plan["pending"] == 7 {
                return plan;
            }
        }
    };
    let before_it = tokio::time::timeout(super::SOON, complete).await.expect("rows, files, a table and four objects");
    define(&lake, "case-7", json!({"namespace": "a"}), json!({"legal_hold": {"reason": "case 7"}})).await;
    let seen = files(&lake.data_dir().join("raw/tables"));
    let held = super::plan(&lake).await;
    assert_eq!((held["pending"].as_u64(), held["refused"].as_u64()), (Some(0), Some(7)), "{held}");
    assert!(items(&held).iter().all(|item| item["rule"] == "case-7" && item["refusal"] == "legal hold case-7: case 7"));
    for plan in [before_it, held] {
        let done = apply(&lake, &plan).await;
        assert_eq!((done["done"].as_u64(), done["freed_bytes"].as_u64()), (Some(0), Some(0)), "{done}");
    }
    assert_eq!(files(&lake.data_dir().join("raw/tables")), seen);
    assert_eq!(files(&lake.data_dir().join("raw/uploads")).len(), 4);
    assert_eq!(lake.count("a.t").await, 3);
}
