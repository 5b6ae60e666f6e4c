//! Files of a folder: each is taken once, and a bad one fails alone.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use sluice_tests::{Encoding, TestLake, assert_problem};

use super::{define, folder_source, lake_over, pulls, run, run_badly, run_well};

/// Two rows of a Parquet file, with this id and the next.
fn parquet(id: i64) -> Vec<u8> {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![id, id + 1]));
    let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn counts(run: &Value) -> [u64; 4] {
    ["files_found", "files_taken", "files_failed", "files_waiting"].map(|name| run[name].as_u64().unwrap())
}

async fn opened(folder: &Path, more: &Value) -> TestLake {
    let lake = lake_over(folder).open().await;
    define(&lake, "drop", &folder_source(folder, more)).await;
    lake
}

#[tokio::test]
async fn files_of_several_formats_are_taken_once_and_new_ones_later() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("2024/01")).unwrap();
    fs::write(folder.path().join("a.csv"), "id\n1\n2\n").unwrap();
    fs::write(folder.path().join("2024/01/b.ndjson"), "{\"id\": 3}\n").unwrap();
    fs::write(folder.path().join("2024/c.parquet.gz"), Encoding::Gzip.encode(&parquet(4))).unwrap();
    fs::write(folder.path().join(".hidden.csv"), "id\n666\n").unwrap();
    let lake = opened(folder.path(), &json!({})).await;
    let first = run_well(&lake, "drop").await;
    assert_eq!((counts(&first), &first["rows_committed"]), ([3, 3, 0, 0], &json!(5)));
    assert_eq!(lake.rows("SELECT sum(id) AS ids FROM a.t").await, [json!({"ids": 15})]);
    let names = pulls(&lake, "drop", &first).await;
    assert_eq!(
        names.iter().map(|(position, state)| (position.as_str(), state.as_str())).collect::<Vec<_>>(),
        [("2024/01/b.ndjson", "committed"), ("2024/c.parquet.gz", "committed"), ("a.csv", "committed")]
    );
    let second = run_well(&lake, "drop").await;
    assert_eq!((counts(&second), &second["rows_received"]), ([3, 0, 0, 0], &json!(0)));
    fs::write(folder.path().join("2024/d.csv"), "id\n6\n").unwrap();
    let third = run_well(&lake.reopen().await, "drop").await;
    assert_eq!(counts(&third), [4, 1, 0, 0]);
}

#[tokio::test]
async fn a_bad_file_fails_alone_and_is_tried_again_if_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    fs::write(folder.path().join("b.csv.gz"), "this is not gzip").unwrap();
    fs::write(folder.path().join("c.csv"), "").unwrap();
    fs::write(folder.path().join("d.xyz"), "?").unwrap();
    fs::write(folder.path().join("e.csv"), "id\n5\n").unwrap();
    let lake = opened(folder.path(), &json!({})).await;
    let first = run_well(&lake, "drop").await;
    assert_eq!((counts(&first), lake.count("a.t").await), ([5, 2, 3, 0], 2));
    let path = format!("/api/v1/sources/drop/runs/{}/pulls?page_size=1000", first["run_id"].as_str().unwrap());
    let listed = lake.get(&path).await.expect(200);
    let failed = listed["items"].as_array().unwrap().iter().filter(|item| item.get("failure").is_some());
    let failed: Vec<&str> = failed.map(|item| item["position"].as_str().unwrap()).collect();
    assert_eq!(failed, ["b.csv.gz", "c.csv", "d.xyz"]);
    assert_eq!(counts(&run_well(&lake, "drop").await), [5, 0, 0, 0]);

    define(&lake, "drop", &folder_source(folder.path(), &json!({"folder": {"retry_failed": true}}))).await;
    let again = run(&lake, "drop").await;
    assert_eq!((counts(&again), &again["state"]), ([5, 0, 3, 0], &json!("failed")), "no file of it was good");
    // What was mended is another content of which nothing is in the table.
    fs::write(folder.path().join("b.csv.gz"), Encoding::Gzip.encode(b"id\n2\n")).unwrap();
    assert_eq!(counts(&run_well(&lake, "drop").await), [5, 1, 2, 0]);
    assert_eq!(lake.rows("SELECT sum(id) AS ids FROM a.t").await, [json!({"ids": 8})]);
}

#[tokio::test]
async fn a_file_that_changed_is_reported_or_taken_as_it_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    fs::write(&file, "id\n1\n").unwrap();
    let lake = opened(folder.path(), &json!({})).await;
    run_well(&lake, "drop").await;
    fs::write(&file, "id\n1\n2\n").unwrap();
    for _ in 0..2 {
        let run = run_well(&lake, "drop").await;
        assert_eq!((counts(&run), &run["files_changed"]), ([1, 0, 0, 0], &json!(1)));
    }
    assert_eq!(lake.count("a.t").await, 1);
    define(&lake, "drop", &folder_source(folder.path(), &json!({"folder": {"changed": "take"}}))).await;
    assert_eq!(counts(&run_well(&lake, "drop").await), [1, 1, 0, 0]);
    assert_eq!(counts(&run_well(&lake, "drop").await), [1, 0, 0, 0]);
    assert_eq!(lake.count("a.t").await, 3);
}

#[tokio::test]
async fn what_was_just_written_waits_and_a_run_takes_the_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, seconds_ago| {
        fs::write(folder.path().join(name), format!("id\n{seconds_ago}\n")).unwrap();
        let file = fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
    };
    for (name, seconds_ago) in [("a.csv", 3000), ("b.csv", 9000), ("c.csv", 6000), ("d.csv", 0)] {
        written(name, seconds_ago);
    }
    let lake = opened(folder.path(), &json!({"folder": {"settle_seconds": 600, "max_files": 2}})).await;
    let first = run_well(&lake, "drop").await;
    assert_eq!(counts(&first), [4, 2, 0, 2]);
    assert_eq!(pulls(&lake, "drop", &first).await.len(), 2);
    assert_eq!(lake.rows("SELECT min(id) AS newest FROM a.t").await, [json!({"newest": 6000})]);
    assert_eq!(counts(&run_well(&lake, "drop").await), [4, 1, 0, 1]);
    assert_eq!(lake.count("a.t").await, 3);
}

#[tokio::test]
async fn files_are_taken_in_order_where_that_makes_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..8_u64 {
        let file = folder.path().join(format!("{}.csv", 7 - number));
        fs::write(&file, format!("id,v\n1,{number}\n")).unwrap();
        let time = SystemTime::now() - Duration::from_secs(100 - number);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    }
    let lake = opened(folder.path(), &json!({"options": {"mode": "merge", "merge_keys": "id"}})).await;
    assert_eq!(counts(&run_well(&lake, "drop").await), [8, 8, 0, 0]);
    assert_eq!(lake.rows("SELECT id, v FROM a.t").await, [json!({"id": 1, "v": 7})]);
}

#[tokio::test]
async fn the_oldest_file_makes_the_table() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..8_u64 {
        let file = folder.path().join(format!("{}.csv", 7 - number));
        fs::write(&file, if number == 0 { "id\nx\n".to_owned() } else { format!("id\n{number}\n") }).unwrap();
        let time = SystemTime::now() - Duration::from_secs(100 - number);
        fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    }
    let lake = opened(folder.path(), &json!({})).await;
    let run = run_well(&lake, "drop").await;
    assert_eq!((&run["rows_committed"], &run["rows_quarantined"]), (&json!(8), &json!(0)), "the others are texts, too");
}

#[tokio::test]
async fn no_link_leads_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.csv"), "id\n666\n").unwrap();
    symlink(outside.path().join("secret.csv"), folder.path().join("file.csv")).unwrap();
    symlink(outside.path(), folder.path().join("folder")).unwrap();
    let lake = opened(folder.path(), &json!({})).await;
    assert_eq!(counts(&run_well(&lake, "drop").await), [0, 0, 0, 0]);
    let mut body = folder_source(folder.path(), &json!({}));
    body["folder"]["location"] = json!(folder.path().join("folder"));
    define(&lake, "linked", &body).await;
    run_badly(&lake, "linked", "source-unreadable").await;
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
}

#[tokio::test]
async fn a_folder_that_is_gone_fails_the_run_and_many_files_are_all_taken() {
    let folder = tempfile::tempdir().unwrap();
    let drop = folder.path().join("drop");
    fs::create_dir(&drop).unwrap();
    let lake = lake_over(folder.path()).open().await;
    define(&lake, "drop", &folder_source(&drop, &json!({"folder": {"pattern": "*.csv"}}))).await;
    fs::remove_dir(&drop).unwrap();
    run_badly(&lake, "drop", "source-unreadable").await;
    fs::create_dir(&drop).unwrap();
    // More than one piece of the listing.
    for number in 0..600 {
        fs::write(drop.join(format!("{number}.txt")), "not matched").unwrap();
        if number % 20 == 0 {
            fs::write(drop.join(format!("{number}.csv")), format!("id\n{number}\n")).unwrap();
        }
    }
    assert_eq!(counts(&run_well(&lake, "drop").await), [30, 30, 0, 0]);
    assert_eq!(lake.rows("SELECT count(DISTINCT id) AS n FROM a.t").await, [json!({"n": 30})]);
}

#[tokio::test]
async fn bad_rows_of_a_file_go_to_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), "id\n1\n2,3\n4\n").unwrap();
    let lake = opened(folder.path(), &json!({})).await;
    let run = run_well(&lake, "drop").await;
    assert_eq!((&run["rows_committed"], &run["rows_quarantined"]), (&json!(2), &json!(1)));
    assert_eq!(lake.count("a.t__quarantine").await, 1);
    fs::write(folder.path().join("b.csv"), "id\n5\n6,7\n").unwrap();
    define(&lake, "drop", &folder_source(folder.path(), &json!({"options": {"max_bad_rows": 0}}))).await;
    assert_eq!(run_badly(&lake, "drop", "malformed-file").await["files_failed"], 1);
}
