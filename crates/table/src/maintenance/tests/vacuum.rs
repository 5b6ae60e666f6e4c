use chrono::TimeDelta;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use sluice_domain::Failure;

use super::hand_made::{HandMade, ROWS};
use crate::{
    VacuumRetention,
    maintenance::{log::commit_path, references::References},
};

fn hours(hours: u64) -> VacuumRetention {
    VacuumRetention::from_hours(hours).unwrap()
}

const OLD: u64 = 1000;

/// An object as old as this.
async fn object(table: &HandMade, path: &str, hours: u64) {
    table.store().put(&Path::parse(path).unwrap(), "x".into()).await.unwrap();
    table.age(&Path::parse(path).unwrap(), hours);
}

/// A table with files in every state; gives those that may go.
async fn worn() -> (HandMade, Vec<String>) {
    let mut table = HandMade::table(true).await;
    let paths = ["k=a%2Fb/live.parquet", "k=x y/removed long ago.parquet", "k=ü/removed lately.parquet"];
    for path in paths {
        let value = path.strip_prefix("k=").and_then(|rest| rest.split('/').next());
        let add = table.file(path, value).await;
        table.commit(&[add]).await;
        table.age(&Path::parse(path).unwrap(), OLD);
    }
    let lately = table.commit(&[table.removal(paths[1], 200)]).await;
    table.commit(&[table.removal(paths[2], 100)]).await;
    for version in 0..=lately {
        table.age(&commit_path(version), 900 - version * 175);
    }
    table.age(&commit_path(lately + 1), 100);
    object(&table, "k=z/never committed.parquet", OLD).await;
    for kept in [
        "_delta_log/x.parquet",
        "_sluice/aside/x.parquet",
        "_change_data/x.parquet",
        "k=z/.x.parquet",
        "k=z/_x.parquet",
        "notes.txt",
        "deletion_vector_1.bin",
    ] {
        object(&table, kept, OLD).await;
    }
    object(&table, "k=z/young.parquet", 167).await;
    (table, vec!["k=x y/removed long ago.parquet".into(), "k=z/never committed.parquet".into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_version_within_the_retention_needs_goes_and_nothing_else() {
    let (table, goes) = worn().await;
    let before = table.read().await.unwrap();
    let all = table.names("").await;
    let planned = table.open().plan_vacuum(hours(168), table.now).await.unwrap();
    let mut paths = planned.paths.clone();
    paths.sort();
    assert_eq!((paths, planned.files), (goes.clone(), 2));
    assert_eq!(table.names("").await, all, "a plan removes nothing");
    let lease = table.lease().await;
    assert_eq!(table.open().vacuum(&lease, hours(168), table.now).await.unwrap(), planned);
    let left = table.names("").await.into_iter().filter(|name| !name.contains("leases/")).collect::<Vec<_>>();
    assert_eq!(left, all.into_iter().filter(|name| !goes.contains(name)).collect::<Vec<_>>());
    assert_eq!(table.read().await.unwrap(), before);
    // The version before the removal was the newest one within the retention.
    assert_eq!(table.rows(Some(4)).await.unwrap(), 2 * ROWS);
    assert_eq!(table.open().vacuum(&lease, hours(168), table.now).await.unwrap().files, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_retention_keeps_what_its_versions_need_though_checkpoints_forgot_it() {
    let (table, _) = worn().await;
    let lease = table.lease().await;
    table.open().checkpoint(&lease).await.unwrap();
    let vacuumed = table.open().vacuum(&lease, hours(400), table.now).await.unwrap();
    assert_eq!(vacuumed.paths, ["k=z/never committed.parquet"]);
    assert_eq!(table.rows(Some(3)).await.unwrap(), 3 * ROWS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cleaned_keeps_what_the_rest_of_it_needs() {
    let (table, goes) = worn().await;
    let lease = table.lease().await;
    table.open().checkpoint(&lease).await.unwrap();
    for version in 0..5 {
        table.store().delete(&commit_path(version)).await.unwrap();
    }
    let vacuumed = table.open().vacuum(&lease, hours(168), table.now).await.unwrap();
    assert_eq!(vacuumed.files as usize, goes.len());
    assert!(table.exists("k=ü/removed lately.parquet").await, "its removal is told by the checkpoint");
    assert_eq!(table.read().await.unwrap(), (5, 1, ROWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_or_with_a_damaged_log_nothing_goes() {
    let (table, _) = worn().await;
    let error = table.open().vacuum(&table.lost_lease().await, hours(168), table.now).await.unwrap_err();
    assert_eq!(error.code(), "lease-lost");
    table.store().put(&commit_path(2), "".into()).await.unwrap();
    let error = table.open().vacuum(&table.lease().await, hours(168), table.now).await.unwrap_err();
    assert_eq!(error.code(), "bad-log");
    for path in ["k=x y/removed long ago.parquet", "k=z/never committed.parquet"] {
        assert!(table.exists(path).await, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_anew_or_committed_after_it_was_listed_stays() {
    let mut table = HandMade::table(true).await;
    let before = table.now - TimeDelta::hours(168);
    for name in ["k=x/anew.parquet", "k=x/committed.parquet", "k=x/gone.parquet", "k=x/goes.parquet"] {
        object(&table, name, OLD).await;
    }
    let listed: Vec<_> = table.store().list(Some(&Path::from("k=x"))).try_collect().await.unwrap();
    let mut references = References::since(&table.folder, before).await.unwrap().unwrap();
    table.store().put(&Path::from("k=x/anew.parquet"), "y".into()).await.unwrap();
    table.store().delete(&Path::from("k=x/gone.parquet")).await.unwrap();
    let mut add = table.file("k=x/other.parquet", Some("x")).await;
    add["add"]["path"] = "k=x/committed.parquet".into();
    table.commit(&[add]).await;
    let lease = table.lease().await;
    let gone = table.open().remove_unreferenced(Some(&lease), &mut references, listed).await.unwrap();
    assert_eq!(gone.iter().map(|file| file.location.as_ref()).collect::<Vec<_>>(), ["k=x/goes.parquet"]);
    assert!(table.exists("k=x/anew.parquet").await && table.exists("k=x/committed.parquet").await);
    assert!(!table.exists("k=x/goes.parquet").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_one_batch_go_and_are_counted() {
    let table = HandMade::table(false).await;
    for number in 0..1203 {
        table.store().put(&Path::from(format!("k=x/{number}.parquet")), "xy".into()).await.unwrap();
    }
    let (lease, later) = (table.lease().await, table.now + TimeDelta::hours(169));
    let vacuumed = table.open().vacuum(&lease, hours(168), later).await;
    assert!(vacuumed.is_ok(), "{vacuumed:?}");
    let vacuumed = vacuumed.unwrap();
    assert_eq!((vacuumed.files, vacuumed.size_bytes, vacuumed.paths.len()), (1203, 2406, 1203));
    assert!(table.names("k=x").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_stops_after_ten_thousand_files_and_the_next_one_goes_on() {
    let table = HandMade::table(false).await;
    for number in 0..10_203 {
        table.store().put(&Path::from(format!("k=x/{number}.parquet")), "x".into()).await.unwrap();
    }
    let (lease, later) = (table.lease().await, table.now + TimeDelta::hours(169));
    let vacuum = async || table.open().vacuum(&lease, hours(168), later).await.unwrap();
    let first = vacuum().await;
    assert_eq!((first.files, first.has_more), (10_000, true));
    let second = vacuum().await;
    assert_eq!((second.files, second.has_more), (203, false));
    assert!(table.names("k=x").await.is_empty());
}
