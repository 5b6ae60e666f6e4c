//! What the server does for its tables by itself.

use std::{path::PathBuf, time::Duration};

use sluice_tests::TestLake;

/// How long the server may take for what it does beside its requests.
const SOON: Duration = Duration::from_secs(20);

/// The folder of the only table.
fn table_folder(lake: &TestLake) -> PathBuf {
    let tables = lake.data_dir().join("raw/tables/a/t");
    std::fs::read_dir(tables).unwrap().next().unwrap().unwrap().path()
}

async fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, waiting).await.is_ok(), "{what}: not in time");
}

#[tokio::test]
async fn a_table_of_many_versions_gets_a_checkpoint_and_reads_the_same() {
    let lake =
        TestLake::builder().set(|settings| settings.ingest.upkeep.tables.checkpoint_every_versions = 4).open().await;
    for number in 0..4 {
        lake.upload("a.t", "?format=csv", format!("id\n{number}\n")).await.expect_status(201);
    }
    let log = table_folder(&lake).join("_delta_log");
    let (checkpoint, hint) = (log.join(format!("{:020}.checkpoint.parquet", 3)), log.join("_last_checkpoint"));
    wait_for("a checkpoint", || hint.exists()).await;
    assert!(checkpoint.exists());
    lake.upload("a.t", "?format=csv", "id\n4\n").await.expect_status(201);
    let lake = lake.reopen().await;
    assert_eq!(
        lake.rows("SELECT count(*) AS n, sum(id) AS total FROM a.t").await,
        [serde_json::json!({"n": 5, "total": 10})]
    );
}

#[tokio::test]
async fn files_of_failed_uploads_are_deleted_after_the_grace_and_others_are_not() {
    let lake = TestLake::builder().set(|settings| settings.ingest.upkeep.orphan_grace_hours = 0).open().await;
    let committed = lake.upload("a.t", "?format=csv", "id\n1\n").await.expect(201);
    let failed = lake.upload("a.t", "?format=csv", "id\nnot a number\n").await;
    let failed = failed.json()["upload_id"].as_str().unwrap().to_owned();
    let folder = table_folder(&lake);
    let stray = |id: &str| folder.join(format!("part-00007-{id}.zstd.parquet"));
    let of_failed = stray(&failed);
    let of_stranger = stray(&uuid::Uuid::now_v7().to_string());
    let closed = lake.close().await;
    for file in [&of_failed, &of_stranger] {
        std::fs::write(file, "rows of nobody").unwrap();
    }

    let lake = closed.open().await;
    wait_for("the file of the failed upload goes", || !of_failed.exists()).await;
    assert!(of_stranger.exists(), "nobody knows whose it is");
    assert!(committed["rows_committed"] == 1 && lake.count("a.t").await == 1);
}
