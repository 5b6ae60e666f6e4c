//! Plain tables after crashes and damage.

use std::{fs, path::Path, sync::Arc};

use chrono::Utc;
use serde_json::json;
use sluice_catalog::{Catalog, CommitTry, NewTable, NewUpload};
use sluice_domain::{
    FileRecord, Format, IdempotencyKey, Landed, Prepared, ReadOptions, TableFormat, UploadId, ZoneName,
};
use sluice_ingest::{Damage, IngestSettings, Integrity, Isolation, Lake};
use sluice_storage::{StorageSettings, Zones};
use sluice_table::Shelf;
use sluice_tests::{TestLake, sha256_of};
use uuid::Uuid;

use super::{BY_DAY, SALES, files};

/// Enter an upload of two rows in two partitions, as if its server had ended right after that.
async fn land(data_dir: &Path, catalog: &Catalog) -> UploadId {
    let (id, bytes, now) = (UploadId(Uuid::now_v7()), b"p,v\na,1\nb,2\n", Utc::now());
    let raw_path = format!("uploads/a/t/{id}.csv");
    let object = data_dir.join("raw").join(&raw_path);
    fs::create_dir_all(object.parent().unwrap()).unwrap();
    fs::write(object, bytes).unwrap();
    let upload = NewUpload {
        id,
        table: "a.t".parse().unwrap(),
        principal: "anonymous".into(),
        idempotency_key: Some(IdempotencyKey { scope: "s".into(), key: "k".into() }),
        file_name: None,
        options: ReadOptions {
            partition_by: vec!["p".into()],
            table_format: Some(TableFormat::Parquet),
            ..ReadOptions::of(Format::Csv)
        },
        landed: Landed { raw_path, size_bytes: bytes.len() as u64, sha256: sha256_of(bytes), landed_at: now },
        started_at: now,
    };
    catalog.uploads().land(&upload).await.unwrap();
    id
}

#[tokio::test]
async fn what_a_crash_cut_off_is_done_again_under_the_same_names() {
    let closed = TestLake::open().await.close().await;
    let catalog = closed.catalog().await;
    let id = land(closed.data_dir(), &catalog).await;
    let table = NewTable {
        name: "a.t".parse().unwrap(),
        zone: ZoneName::Raw,
        format: TableFormat::Parquet,
        partition_by: vec!["p".into()],
        folder: Some("data-lake/t".into()),
        owner: "anonymous".into(),
    };
    let table = catalog.tables().reserve(&table).await.unwrap();
    let first = catalog.uploads().reserve_stamps(id, 2).await.unwrap();
    let name = |micros: i64| (first + chrono::TimeDelta::microseconds(micros)).format("data_%Y%m%d_%H%M%S_%6f.parquet");
    // One file half written under its name, and one that the upload does not have any more.
    let put = ["p=a/".to_owned() + &name(0).to_string(), "p=gone/".to_owned() + &name(1).to_string()];
    let record = |path: &String| FileRecord {
        path: path.clone(),
        size_bytes: 4,
        sha256: sha256_of(b"torn"),
        rows: 1,
        upload: Some(id),
    };
    let attempt = CommitTry { upload: id, files: put.iter().map(record).collect(), prepared: Prepared::default() };
    catalog.uploads().begin_commits(table.id, &[attempt]).await.unwrap();
    catalog.close().await.unwrap();
    for path in &put {
        let file = closed.data_dir().join("raw/data-lake/t").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "torn").unwrap();
    }

    let lake = closed.open().await.reopen().await;
    let upload = lake.get(&format!("/api/v1/uploads/{id}")).await.expect(200);
    assert_eq!(upload["status"], "committed", "{upload}");
    let expected = [("p=a", 0), ("p=b", 1)].map(|(folder, at)| format!("data-lake/t/{folder}/{}", name(at)));
    assert_eq!(files(&lake), expected);
    let rows = lake.rows("SELECT p, v FROM a.t ORDER BY v").await;
    assert_eq!(rows, [json!({"p": "a", "v": 1}), json!({"p": "b", "v": 2})]);
    assert_eq!(lake.describe("a.t").await["version"], 0);
}

#[tokio::test]
async fn damage_to_a_plain_table_is_found_and_put_right() {
    let lake = TestLake::open().await;
    for _ in 0..2 {
        lake.upload("shop.sales", BY_DAY, SALES).await.expect_status(201);
    }
    let names = files(&lake);
    let closed = lake.close().await;
    let (gone, bent) = (closed.data_dir().join("raw").join(&names[0]), closed.data_dir().join("raw").join(&names[4]));
    fs::remove_file(&gone).unwrap();
    let mut bytes = fs::read(&bent).unwrap();
    bytes[10] ^= 1;
    fs::write(&bent, bytes).unwrap();

    let catalog = closed.catalog().await;
    let zones = Arc::new(Zones::open(&StorageSettings::default(), closed.data_dir()).unwrap());
    let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
    let settings = IngestSettings { isolation: Isolation::None, ..IngestSettings::default() };
    let lake = Lake { zones, catalog: catalog.clone(), shelf };
    let integrity = Integrity::new(settings, lake, &closed.data_dir().join("scratch")).unwrap();
    let mut found = Vec::new();
    integrity.scrub(&mut |finding| found.push(finding.kind)).await.unwrap();
    assert_eq!(found, [Damage::FileMissing, Damage::FileDamaged]);
    let mut repaired = Vec::new();
    integrity.repair(&mut |repair| repaired.push((repair.repaired, repair.note))).await.unwrap();
    assert!(repaired.len() == 2 && repaired.iter().all(|(repaired, _)| *repaired), "{repaired:?}");
    integrity.scrub(&mut |finding| panic!("{finding:?}")).await.unwrap();
    drop(integrity);
    catalog.close().await.unwrap();
    let lake = closed.open().await;
    assert_eq!(lake.rows("SELECT sum(id) AS s FROM shop.sales").await, [json!({"s": 20})]);
}
