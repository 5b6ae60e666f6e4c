//! Small files and old versions.

use std::time::{Duration, SystemTime};

use serde_json::json;
use sluice_tests::TestLake;

use super::{apply, define, files, folder_of, items, plan};

fn data_files(all: Vec<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
    let hidden = |path: &std::path::PathBuf| path.to_str().unwrap().contains("/_");
    all.into_iter().filter(|path| path.extension().is_some_and(|end| end == "parquet") && !hidden(path)).collect()
}

#[tokio::test]
async fn small_files_are_put_together_and_vacuumed_when_no_version_within_the_retention_needs_them() {
    let lake = TestLake::open().await;
    for id in 0..5 {
        lake.upload("a.t", "?format=csv", format!("id\n{id}\n")).await.expect_status(201);
    }
    let folder = folder_of(&lake, "a.t").await;
    let compact = |min_files: u32| json!({"compact": {"below_bytes": 1_048_576, "target_bytes": 8_388_608, "min_files": min_files}});
    define(&lake, "wide", json!("lake"), compact(6)).await;
    assert!(items(&plan(&lake).await).is_empty(), "five files are not six");
    define(&lake, "narrow", json!({"table": "a.t"}), compact(5)).await;
    let done = apply(&lake, &plan(&lake).await).await;
    assert_eq!((done["done"].as_u64(), lake.describe("a.t").await["files"].as_u64()), (Some(1), Some(1)), "{done}");
    assert_eq!(lake.count("a.t").await, 5);
    assert!(items(&plan(&lake).await).is_empty(), "one file is not compacted again");

    define(&lake, "versions", json!("lake"), json!({"versions": {"vacuum_after": "168h"}})).await;
    assert!(items(&plan(&lake).await).is_empty(), "the versions are young");
    let long_ago = SystemTime::now() - Duration::from_secs(400 * 3600);
    for file in files(&folder) {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    }
    let planned = plan(&lake).await;
    assert!(items(&planned).is_empty(), "removed today: {planned}");
    assert_eq!(data_files(files(&folder)).len(), 6);
    let ahead = chrono::Utc::now() + chrono::TimeDelta::hours(169);
    let path = format!("/api/v1/lifecycle/plan?as_of={}", ahead.format("%Y-%m-%dT%H:%M:%SZ"));
    let planned = lake.post(&path, &[], "").await.expect(201);
    let planned = super::shown(&lake, planned["plan_id"].as_str().unwrap()).await;
    assert_eq!(
        (items(&planned)[0]["action"].as_str(), items(&planned)[0]["rule"].as_str()),
        (Some("vacuum"), Some("versions"))
    );
    assert!(planned["size_bytes"].as_u64() > Some(0));
    let done = apply(&lake, &planned).await;
    assert_eq!(items(&done)[0]["detail"], "0 files are gone", "by the present none may go: {done}");
    assert_eq!((data_files(files(&folder)).len(), lake.count("a.t").await), (6, 5));
    let closed = lake.close().await;
    assert_eq!(crate::integrity::findings(closed.data_dir()).await, []);
}
