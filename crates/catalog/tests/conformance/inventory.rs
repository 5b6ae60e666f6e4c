//! What the tables' folders should hold.

use sluice_catalog::{CommitTry, CommittedUpload, CommittedUploads};
use sluice_domain::{FileRecord, LogRecord, Prepared, RowCounts};

use crate::samples::{Lake, file, instant};

fn entry(version: u64, content: &str) -> LogRecord {
    LogRecord { version, content: content.into() }
}

#[tokio::test]
async fn files_are_entered_with_the_try_of_their_commit() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let (first, second) = (lake.landed("nyc.flights").await, lake.landed("nyc.flights").await);
    let tries = [
        CommitTry {
            upload: first,
            files: vec![file("b.parquet", Some(first)), file("p=a%2Fb/a.parquet", Some(first))],
            prepared: Prepared::default(),
        },
        CommitTry { upload: second, files: vec![file("a.parquet", Some(second))], prepared: Prepared::default() },
    ];
    assert_eq!(lake.catalog.uploads().begin_commits(table, &tries).await.unwrap(), [1, 2]);
    let lake = lake.reopen().await;
    let inventory = lake.catalog.inventory();
    let files = inventory.files(table, None, 2).await.unwrap();
    assert_eq!(files, [file("a.parquet", Some(second)), file("b.parquet", Some(first))]);
    let rest = inventory.files(table, Some("b.parquet"), 2).await.unwrap();
    assert_eq!(rest, [file("p=a%2Fb/a.parquet", Some(first))]);
    assert_eq!(inventory.file(table, "b.parquet").await.unwrap(), Some(file("b.parquet", Some(first))));
    assert_eq!(inventory.file(table, "absent").await.unwrap(), None);
    inventory.forget_files(table, &["b.parquet".into(), "absent".into()]).await.unwrap();
    assert_eq!(inventory.files(table, None, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn one_upload_that_cannot_be_committed_keeps_the_others_and_their_files_out() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let (good, failed) = (lake.landed("nyc.flights").await, lake.landed("nyc.flights").await);
    let failure = sluice_domain::StoredFailure {
        kind: sluice_domain::ErrorKind::Invalid,
        code: "bad-csv".into(),
        detail: "line 3".into(),
    };
    lake.catalog.uploads().fail(failed, &failure).await.unwrap();
    let tries = [good, failed].map(|upload| CommitTry {
        upload,
        files: vec![file(&upload.to_string(), Some(upload))],
        prepared: Prepared::default(),
    });
    lake.catalog.uploads().begin_commits(table, &tries).await.unwrap_err();
    assert!(lake.catalog.inventory().files(table, None, 9).await.unwrap().is_empty());
    assert_eq!(lake.catalog.uploads().begin_commits(table, &tries[..1]).await.unwrap(), [1]);
}

#[tokio::test]
async fn a_file_that_is_written_again_takes_the_place_of_the_first() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let many: Vec<FileRecord> = (0..2500).map(|number| file(&format!("{number:04}.parquet"), None)).collect();
    lake.catalog.inventory().enter_files(table, &many).await.unwrap();
    let again = FileRecord { rows: 8, ..many[2400].clone() };
    lake.catalog.inventory().enter_files(table, std::slice::from_ref(&again)).await.unwrap();
    let files = lake.catalog.inventory().files(table, None, 10_000).await.unwrap();
    assert_eq!((files.len(), &files[2400]), (2500, &again));
}

#[tokio::test]
async fn a_commit_of_many_uploads_is_written_down_with_its_log_entry() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let ids = [lake.landed("nyc.flights").await, lake.landed("nyc.flights").await];
    let tries = ids.map(|upload| CommitTry { upload, files: Vec::new(), prepared: Prepared::default() });
    lake.catalog.uploads().begin_commits(table, &tries).await.unwrap();
    let rows = RowCounts::all_committed(3);
    let upload = CommittedUpload { version: 4, rows, committed_at: instant("2026-02-01T00:00:00Z") };
    let uploads = ids.map(|id| (id, upload.clone())).to_vec();
    let committed = CommittedUploads { table, entry: entry(4, "{\"add\":{}}\n"), uploads, quarantined: Vec::new() };
    for _ in 0..2 {
        let entries = lake.catalog.uploads().commit(&committed).await.unwrap();
        assert_eq!(
            entries.iter().map(|entry| (entry.id, entry.version)).collect::<Vec<_>>(),
            ids.map(|id| (id, Some(4)))
        );
    }
    assert_eq!(lake.catalog.inventory().commits(table, 0, 9).await.unwrap(), [committed.entry]);
}

#[tokio::test]
async fn log_entries_are_kept_as_they_were_first_entered_until_they_are_struck_out() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let other = lake.active_table("nyc.taxis").await.id;
    let inventory = lake.catalog.inventory();
    assert_eq!(inventory.newest_commit(table).await.unwrap(), None);
    for version in [0, 2, 1, 10] {
        inventory.enter_commit(table, &entry(version, "first")).await.unwrap();
        inventory.enter_commit(table, &entry(version, "again")).await.unwrap();
    }
    inventory.enter_commit(other, &entry(99, "other")).await.unwrap();
    assert_eq!(inventory.newest_commit(table).await.unwrap(), Some(10));
    assert_eq!(inventory.commits(table, 1, 2).await.unwrap(), [entry(1, "first"), entry(2, "first")]);
    inventory.forget_commits(table, 2).await.unwrap();
    assert_eq!(inventory.commits(table, 0, 9).await.unwrap(), [entry(2, "first"), entry(10, "first")]);
    assert_eq!(inventory.newest_commit(other).await.unwrap(), Some(99));
    lake.active_table("nyc.empty").await;
    let asked = ["nyc.taxis", "nyc.nothing", "nyc.flights", "nyc.empty"].map(|name| name.parse().unwrap());
    let newest = inventory.newest_commits(&asked).await.unwrap();
    assert_eq!(newest, [(asked[0].clone(), 99), (asked[2].clone(), 10)].into());
    assert!(inventory.newest_commits(&[]).await.unwrap().is_empty());
}
