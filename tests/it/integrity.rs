//! A lake against its ledger: what is damaged is found, and put right as far as the ledger and the originals reach.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sluice_catalog::Catalog;
use sluice_ingest::{Damage, Finding, IngestSettings, Integrity, Isolation, Lake, Repair};
use sluice_storage::{StorageSettings, Zones};
use sluice_table::Shelf;
use sluice_tests::{ClosedLake, TestLake};

/// A lake with a partitioned table of three versions, closed.
async fn lake() -> ClosedLake {
    let lake = TestLake::open().await;
    for rows in ["p,id\na b,1\nc/d,2\n", "p,id\na b,3\n", "p,id\ne,4\n"] {
        lake.upload("a.t", "?format=csv&partition_by=p", rows).await.expect_status(201);
    }
    lake.close().await
}

async fn integrity(data_dir: &Path) -> Integrity {
    let catalog = Catalog::open(data_dir).await.unwrap();
    let zones = Arc::new(Zones::open(&StorageSettings::default(), data_dir).unwrap());
    let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
    let settings = IngestSettings { isolation: Isolation::None, ..IngestSettings::default() };
    Integrity::new(settings, Lake { zones, catalog, shelf }, &data_dir.join("scratch")).unwrap()
}

pub(crate) async fn findings(data_dir: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    integrity(data_dir).await.scrub(&mut |finding| found.push(finding)).await.unwrap();
    found
}

async fn repairs(data_dir: &Path) -> Vec<Repair> {
    let mut repairs = Vec::new();
    integrity(data_dir).await.repair(&mut |repair| repairs.push(repair)).await.unwrap();
    repairs
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn table_files(lake: &ClosedLake, part: &str) -> Vec<PathBuf> {
    let all = files(&lake.data_dir().join("raw/tables"));
    all.into_iter()
        .filter(|file| file.to_str().unwrap().contains(part) && !file.to_str().unwrap().contains("_sluice"))
        .collect()
}

fn flip_a_bit(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

async fn assert_whole(lake: ClosedLake) {
    let lake = lake.open().await;
    let rows = lake.rows("SELECT count(*) AS n, sum(id) AS total, count(DISTINCT p) AS p FROM a.t").await;
    assert_eq!(rows, [serde_json::json!({"n": 4, "total": 10, "p": 3})]);
    lake.upload("a.t", "?format=csv", "p,id\nz,5\n").await.expect_status(201);
    assert_eq!(lake.count("a.t").await, 5);
}

#[tokio::test]
async fn a_sound_lake_has_no_findings() {
    let lake = lake().await;
    assert_eq!(findings(lake.data_dir()).await, []);
    assert_eq!(repairs(lake.data_dir()).await, []);
    assert_whole(lake).await;
}

#[tokio::test]
async fn a_bit_flipped_anywhere_is_found_and_put_right() {
    let closed = lake().await;
    for file in table_files(&closed, "") {
        let whole = std::fs::read(&file).unwrap();
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            flip_a_bit(&file, at);
            let found = findings(closed.data_dir()).await;
            assert_eq!(found.len(), 1, "{} at {at}: {found:?}", file.display());
            assert!(matches!(found[0].kind, Damage::FileDamaged | Damage::LogEntryDamaged), "{found:?}");
            let repairs = repairs(closed.data_dir()).await;
            assert!(repairs.len() == 1 && repairs[0].repaired, "{repairs:?}");
            assert_eq!(std::fs::read(&file).unwrap(), whole, "{}", file.display());
        }
    }
    assert_eq!(findings(closed.data_dir()).await, []);
    assert_whole(closed).await;
}

#[tokio::test]
async fn files_that_are_gone_cut_or_empty_are_found_and_put_right() {
    let closed = lake().await;
    for file in table_files(&closed, "") {
        let whole = std::fs::read(&file).unwrap();
        let cases = [None, Some(&whole[..0]), Some(&whole[..whole.len() / 2]), Some(&whole[..whole.len() - 1])];
        for (number, left) in cases.into_iter().enumerate() {
            match left {
                None => std::fs::remove_file(&file).unwrap(),
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            }
            let found = findings(closed.data_dir()).await;
            assert!(!found.is_empty(), "{} {number}", file.display());
            let repairs = repairs(closed.data_dir()).await;
            assert!(repairs.iter().all(|repair| repair.repaired), "{} {number}: {repairs:?}", file.display());
            assert_eq!(std::fs::read(&file).unwrap(), whole, "{}", file.display());
        }
    }
    assert_eq!(findings(closed.data_dir()).await, []);
    assert_whole(closed).await;
}

#[tokio::test]
async fn files_of_an_upload_that_was_held_to_a_suite_are_put_right() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,n\n1,1\n").await.expect_status(201);
    let rule = |kind: &str, kwargs: serde_json::Value, action: &str| serde_json::json!({"kind": kind, "kwargs": kwargs, "action": action});
    let rules = [
        rule("expect_column_values_to_be_between", serde_json::json!({"column": "n", "min_value": 0}), "quarantine"),
        rule("expect_table_row_count_to_equal", serde_json::json!({"value": 1}), "reject"),
    ];
    let suite = serde_json::json!({"name": "s", "rules": rules});
    let set = lake.call(axum::http::Method::PUT, "/api/v1/tables/a/t/quality").json(&suite);
    set.send().await.expect_status(200);
    lake.upload("a.t", "?format=csv", "id,n\n2,-2\n3,9\n").await.expect_status(201);
    let closed = lake.close().await;
    for file in table_files(&closed, ".parquet") {
        let whole = std::fs::read(&file).unwrap();
        flip_a_bit(&file, whole.len() / 2);
        let repairs = repairs(closed.data_dir()).await;
        assert!(repairs.len() == 1 && repairs[0].repaired, "{repairs:?}");
        assert_eq!(std::fs::read(&file).unwrap(), whole, "{}", file.display());
    }
}

#[tokio::test]
async fn the_whole_log_and_every_file_come_back_together() {
    let closed = lake().await;
    for file in table_files(&closed, "") {
        std::fs::write(&file, "").unwrap();
    }
    assert_eq!(findings(closed.data_dir()).await.len(), table_files(&closed, "").len());
    let repairs = repairs(closed.data_dir()).await;
    assert!(repairs.iter().all(|repair| repair.repaired), "{repairs:?}");
    assert_eq!(findings(closed.data_dir()).await, []);
    assert_whole(closed).await;
}

#[tokio::test]
async fn a_log_entry_that_is_none_is_set_aside() {
    for garbage in ["", "\0\0\0\0", "{\"add\":", "{}"] {
        let closed = lake().await;
        let newest = table_files(&closed, "_delta_log").pop().unwrap();
        let next = newest.with_file_name(format!("{:020}.json", 3));
        std::fs::write(&next, garbage).unwrap();
        let found = findings(closed.data_dir()).await;
        assert_eq!((found.len(), found[0].kind, found[0].version), (1, Damage::LogEntryDamaged, Some(3)), "{found:?}");
        let repairs = repairs(closed.data_dir()).await;
        assert!(repairs[0].repaired && !next.exists(), "{repairs:?}");
        assert_eq!(findings(closed.data_dir()).await, []);
        assert_whole(closed).await;
    }
}

#[tokio::test]
async fn damaged_originals_are_found_and_what_hangs_on_them_is_said_to_be_lost() {
    let closed = lake().await;
    let originals = files(&closed.data_dir().join("raw/uploads"));
    flip_a_bit(&originals[0], 3);
    std::fs::remove_file(&originals[1]).unwrap();
    let kinds: Vec<Damage> = findings(closed.data_dir()).await.iter().map(|finding| finding.kind).collect();
    assert!(
        kinds.contains(&Damage::RawDamaged) && kinds.contains(&Damage::RawMissing) && kinds.len() == 2,
        "{kinds:?}"
    );

    // The first upload wrote two of the data files.
    for file in table_files(&closed, ".parquet") {
        flip_a_bit(&file, 100);
    }
    let repairs = repairs(closed.data_dir()).await;
    let left: Vec<_> = repairs.iter().filter(|repair| !repair.repaired).map(|repair| repair.finding.kind).collect();
    let count = |kind| left.iter().filter(|left| **left == kind).count();
    assert_eq!((left.len(), count(Damage::FileDamaged)), (5, 3), "{repairs:?}");
    assert!(repairs.iter().any(|repair| repair.repaired && repair.note.contains("original")), "{repairs:?}");
}

#[tokio::test]
async fn what_a_merge_wrote_is_lost_and_what_an_upload_alone_wrote_is_made_anew() {
    let lake = TestLake::open().await;
    for (table, query) in [("a.merged", "mode=merge&merge_keys=id"), ("a.within", "dedup_keys=id&dedup=within")] {
        for rows in ["id,v\n1,1\n1,2\n", "id,v\n1,3\n2,2\n"] {
            lake.upload(table, &format!("?format=csv&{query}"), rows).await.expect_status(201);
        }
    }
    let closed = lake.close().await;
    assert_eq!(findings(closed.data_dir()).await, []);
    for file in table_files(&closed, "parquet") {
        flip_a_bit(&file, 100);
    }
    let repairs = repairs(closed.data_dir()).await;
    let told: Vec<_> = repairs.iter().map(|repair| (repair.repaired, repair.note.as_str())).collect();
    let of = |repaired: bool| told.iter().filter(|told| told.0 == repaired).map(|told| told.1).collect::<Vec<_>>();
    assert_eq!(of(false), ["a table operation wrote it: no upload holds its rows"], "{repairs:?}");
    // Those of both uploads without a look at the table, and of the one that made the table that was merged into.
    assert_eq!(of(true), ["from the original bytes"; 3], "{repairs:?}");
}

#[tokio::test]
async fn files_that_a_contract_had_a_say_in_are_made_anew_under_that_contract() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id\n1\n").await.expect_status(201);
    lake.upload("a.t", "?format=csv", "id,new\n2,x\n").await.expect_status(201);
    let terms = serde_json::json!({
        "columns": "discard_columns",
        "rules": [{"name": "low", "column": "id", "check": {"maximum": 9}}],
    });
    let path = "/api/v1/tables/a/t/contract";
    lake.call(axum::http::Method::PUT, path).json(&terms).send().await.expect_status(200);
    lake.upload("a.t", "?format=csv", "id,other\n3,y\n30,z\n4,z\n").await.expect_status(201);
    lake.call(axum::http::Method::PUT, path).json(&serde_json::json!({})).send().await.expect_status(200);
    lake.upload("a.t", "?format=csv", "id,last\n5,y\n").await.expect_status(201);
    let lake = lake.close().await;
    for file in table_files(&lake, ".parquet") {
        std::fs::remove_file(file).unwrap();
    }
    let repairs = repairs(lake.data_dir()).await;
    assert!(repairs.iter().all(|repair| repair.repaired), "{repairs:?}");
    let lake = lake.open().await;
    let rows = lake.rows("SELECT count(*) AS n, sum(id) AS total FROM a.t").await;
    assert_eq!(rows, [serde_json::json!({"n": 5, "total": 15})]);
}

#[tokio::test]
async fn files_of_small_writes_whose_texts_were_taken_for_numbers_are_made_anew() {
    let lake = TestLake::open().await;
    let declared = serde_json::json!({"columns": [{"name": "id", "type": "long"}], "coerce": true});
    lake.call(axum::http::Method::PUT, "/api/v1/tables/a/t/schema").json(&declared).send().await.expect_status(201);
    let rows = "{\"id\": \"7\"}\n{\"id\": 8}\n";
    lake.post("/api/v1/tables/a/t/rows", &[("content-type", "application/x-ndjson")], rows).await.expect_status(201);
    let lake = lake.close().await;
    for file in table_files(&lake, ".parquet") {
        std::fs::remove_file(file).unwrap();
    }
    let repairs = repairs(lake.data_dir()).await;
    assert!(!repairs.is_empty() && repairs.iter().all(|repair| repair.repaired), "{repairs:?}");
    let lake = lake.open().await;
    let rows = lake.rows("SELECT count(*) AS n, sum(id) AS total FROM a.t").await;
    assert_eq!(rows, [serde_json::json!({"n": 2, "total": 15})]);
}
