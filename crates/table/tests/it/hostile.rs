//! Logs that name what is not the table's, or are damaged.

use object_store::ObjectStoreExt as _;
use rstest::rstest;
use serde_json::json;
use sluice_domain::{ErrorKind, Failure as _};

use crate::lake::{Lake, entry_path, row};

fn add(path: &str) -> serde_json::Value {
    json!({"add": {"path": path, "partitionValues": {"p": "a"}, "size": 10, "modificationTime": 0, "dataChange": true}})
}

#[rstest]
#[case::scheme(add("file:///etc/passwd").to_string())]
#[case::absolute(add("/tables/other/part.parquet").to_string())]
#[case::climbing(add("../other/part.parquet").to_string())]
#[case::encoded(add("%2e%2e/other/part.parquet").to_string())]
#[case::encoded_twice(add("%252e%252e/other/part.parquet").to_string())]
#[case::no_end(add("part%00.parquet").to_string())]
#[case::removed(json!({"remove": {"path": "../x", "dataChange": true}}).to_string())]
#[case::change_data(json!({"cdc": {"path": "../x", "size": 1, "partitionValues": {}, "dataChange": false}}).to_string())]
#[case::deletion_vector(json!({"add": {
    "path": "x.parquet", "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": true,
    "deletionVector": {"storageType": "p", "pathOrInlineDv": "s3://x/y", "sizeInBytes": 1, "cardinality": 1, "offset": 1},
}}).to_string())]
#[case::empty(String::new())]
#[case::torn("{\"add\":{\"path\":".to_owned())]
#[tokio::test]
async fn a_version_that_cannot_be_trusted_is_not_handed_out(#[case] line: String) {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    assert_eq!(table.describe(None).await.unwrap().version, 0);
    lake.folder.store.put(&entry_path(1), line.into()).await.unwrap();
    for table in [&table, &lake.open()] {
        let error = table.describe(None).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Internal), "{error:?}");
        assert!(table.append(&commit).await.is_err());
        assert!(table.scan(None).await.is_err());
    }
    assert!(lake.folder.store.head(&entry_path(2)).await.is_err());
    let error = table.describe(None).await.unwrap_err();
    assert_eq!(error.code(), "untrusted-log", "{error:?}");
}

#[tokio::test]
async fn the_files_of_a_version_are_checked_however_old_their_entries_are() {
    let (lake, _) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    lake.folder.store.put(&entry_path(1), add("../other/part.parquet").to_string().into()).await.unwrap();
    let line = json!({"commitInfo": {"operation": "NOTHING"}}).to_string();
    lake.folder.store.put(&entry_path(2), line.into()).await.unwrap();
    let error = lake.open().describe(None).await.unwrap_err();
    assert_eq!(error.code(), "untrusted-log", "{error:?}");
    let error = lake.open().scan(Some(1)).await.err().unwrap();
    assert_eq!(error.code(), "untrusted-log", "{error:?}");
}
