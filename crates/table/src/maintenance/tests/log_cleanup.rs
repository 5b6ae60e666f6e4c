use chrono::TimeDelta;
use object_store::ObjectStoreExt;
use rstest::rstest;
use sluice_domain::Failure;

use super::{
    faults::Fault,
    hand_made::{HandMade, ROWS},
};
use crate::{
    CleanedLog, LogRetention, MaintenanceError,
    maintenance::log::{checkpoint_path, commit_path},
};

/// A table of 20 versions, one a day and the newest now, with checkpoints at 5, 10 and 15.
async fn daily() -> HandMade {
    let mut table = HandMade::table(true).await;
    let lease = table.lease().await;
    for version in 1..20_u64 {
        let add = table.file(&format!("k=x/{version}.parquet"), Some("x")).await;
        table.commit(&[add]).await;
        if version % 5 == 0 && version < 20 {
            table.open().checkpoint(&lease).await.unwrap();
        }
    }
    for version in 0..20 {
        table.age(&commit_path(version), (19 - version) * 24);
    }
    lease.release().await.unwrap();
    table
}

fn days(days: u64) -> LogRetention {
    LogRetention::from_hours(days * 24).unwrap()
}

async fn clean(table: &HandMade, retention: LogRetention) -> Result<CleanedLog, MaintenanceError> {
    let lease = table.lease().await;
    let outcome = table.open().clean_log(&lease, retention, table.now).await;
    lease.release().await.unwrap();
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_within_the_retention_stay_readable_and_older_ones_go() {
    let table = daily().await;
    let before = table.read().await.unwrap();
    // Version 12 was the newest one when the retention of 7 days began, and checkpoint 10 comes before it.
    let cleaned = clean(&table, days(7)).await.unwrap();
    assert_eq!(cleaned, CleanedLog { versions: (0..10).collect(), checkpoints: vec![5], more: false });
    assert_eq!(table.read().await.unwrap(), before);
    for version in 10..20 {
        assert_eq!(table.rows(Some(version)).await.unwrap(), version as usize * ROWS);
    }
    assert!(table.rows(Some(9)).await.is_err());
    assert_eq!(clean(&table, days(7)).await.unwrap(), CleanedLog::default());
    assert_eq!(table.open().find_bad_checkpoints().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_without_age_or_without_a_checkpoint() {
    let table = daily().await;
    assert_eq!(clean(&table, days(30)).await.unwrap(), CleanedLog::default());
    let table = HandMade::grown(false, 9).await;
    let later = table.now + TimeDelta::days(100);
    let lease = table.lease().await;
    assert_eq!(table.open().clean_log(&lease, days(7), later).await.unwrap(), CleanedLog::default());
    table.open().checkpoint(&lease).await.unwrap();
    let cleaned = table.open().clean_log(&lease, days(7), later).await.unwrap();
    assert_eq!(cleaned.versions, (0..8).collect::<Vec<_>>());
    assert!(table.exists(checkpoint_path(8).as_ref()).await, "the newest checkpoint stays for ever");
}

#[rstest]
#[case::cut(Some(1500))]
#[case::of_another_version(None)]
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_not_verified_keeps_the_log_before_it(#[case] kept_bytes: Option<usize>) {
    let table = daily().await;
    let of = if kept_bytes.is_some() { 10 } else { 5 };
    let content = table.store().get(&checkpoint_path(of)).await.unwrap().bytes().await.unwrap();
    table.store().put(&checkpoint_path(10), content.slice(..kept_bytes.unwrap_or(content.len())).into()).await.unwrap();
    let cleaned = clean(&table, days(7)).await.unwrap();
    assert_eq!(cleaned.versions, (0..5).collect::<Vec<_>>(), "up to the checkpoint before");
    assert_eq!(table.read().await.unwrap(), (19, 19, 19 * ROWS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_log_keeps_all_of_it() {
    let table = daily().await;
    table.store().delete(&commit_path(13)).await.unwrap();
    assert_eq!(clean(&table, days(7)).await.unwrap(), CleanedLog::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_up_that_fails_leaves_no_gap_and_goes_on_later() {
    for failing in [commit_path(0), commit_path(4), checkpoint_path(5), commit_path(9)] {
        let table = daily().await;
        table.trigger.arm(Fault::DeleteFails, failing.as_ref());
        clean(&table, days(7)).await.unwrap_err();
        assert!(!table.trigger.is_armed());
        assert_eq!(table.read().await.unwrap(), (19, 19, 19 * ROWS));
        assert_eq!(table.rows(Some(10)).await.unwrap(), 10 * ROWS);
        let rest = clean(&table, days(7)).await.unwrap();
        assert_eq!(rest.versions.last(), Some(&9));
        assert_eq!(table.read().await.unwrap(), (19, 19, 19 * ROWS));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_nothing_goes() {
    let table = daily().await;
    let before = table.names("_delta_log").await;
    let error = table.open().clean_log(&table.lost_lease().await, days(7), table.now).await.unwrap_err();
    assert_eq!(error.code(), "lease-lost");
    assert_eq!(table.names("_delta_log").await, before);
}
