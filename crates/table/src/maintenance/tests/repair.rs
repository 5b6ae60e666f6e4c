use object_store::ObjectStoreExt;
use rstest::rstest;
use sluice_domain::Failure;

use super::hand_made::HandMade;
use crate::{
    BadCheckpoint,
    maintenance::log::{checkpoint_path, commit_path, hint_path},
};

/// What was found, as version or hint.
fn versions(bad: &[BadCheckpoint]) -> Vec<Option<u64>> {
    bad.iter().map(|bad| bad.version).collect()
}

#[rstest]
#[case::past_the_end(r#"{"version":99,"size":3}"#)]
#[case::garbage("{not json")]
#[case::empty("")]
#[tokio::test(flavor = "multi_thread")]
async fn a_hint_to_nothing_is_set_aside(#[case] hint: &str) {
    for local in [false, true] {
        let table = HandMade::grown(local, 5).await;
        let (lease, before) = (table.lease().await, table.read().await.unwrap());
        table.open().checkpoint(&lease).await.unwrap();
        table.store().put(&hint_path(), hint.to_owned().into()).await.unwrap();
        let bad = table.open().find_bad_checkpoints().await.unwrap();
        assert_eq!(versions(&bad), [None], "{bad:?}");
        table.open().set_checkpoint_aside(&lease, &bad[0]).await.unwrap();
        assert_eq!(table.read().await.unwrap(), before);
        assert_eq!(table.names("_sluice/aside").await.len(), 1);
        assert_eq!(table.open().find_bad_checkpoints().await.unwrap(), []);
        assert_eq!(
            table.open().checkpoint(&lease).await.unwrap().map(|written| written.version),
            Some(4),
            "the hint is written anew"
        );
    }
}

#[rstest]
#[case::empty(0)]
#[case::torn(2000)]
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_found_and_set_aside(#[case] kept_bytes: usize) {
    let mut table = HandMade::grown(false, 5).await;
    let lease = table.lease().await;
    table.open().checkpoint(&lease).await.unwrap();
    let add = table.file("k=z/a.parquet", Some("z")).await;
    table.commit(&[add]).await;
    let before = table.read().await.unwrap();
    let whole = table.store().get(&checkpoint_path(4)).await.unwrap().bytes().await.unwrap();
    table.store().put(&checkpoint_path(4), whole.slice(..kept_bytes).into()).await.unwrap();
    assert!(table.read().await.is_err());
    let bad = table.open().find_bad_checkpoints().await.unwrap();
    assert_eq!(versions(&bad), [Some(4), None], "{bad:?}");
    lease.release().await.unwrap();
    assert_eq!(table.open().set_checkpoint_aside(&lease, &bad[0]).await.unwrap_err().code(), "lease-lost");
    assert!(table.exists(checkpoint_path(4).as_ref()).await);
    let lease = table.lease().await;
    table.open().set_checkpoint_aside(&lease, &bad[0]).await.unwrap();
    assert_eq!(table.read().await.unwrap(), before);
    assert_eq!(table.names("_sluice/aside").await.len(), 2, "the hint and the checkpoint");
    assert_eq!(table.open().checkpoint(&lease).await.unwrap().map(|written| written.version), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_can_be_read_and_is_wrong_is_found() {
    let (table, other) = (HandMade::grown(false, 6).await, HandMade::grown(false, 5).await);
    other.open().checkpoint(&other.lease().await).await.unwrap();
    let wrong = other.store().get(&checkpoint_path(4)).await.unwrap().bytes().await.unwrap();
    table.store().put(&checkpoint_path(5), wrong.into()).await.unwrap();
    let bad = table.open().find_bad_checkpoints().await.unwrap();
    assert_eq!(versions(&bad), [Some(5)]);
    assert!(bad[0].reason.ends_with("is missing"), "{bad:?}");
    table.open().set_checkpoint_aside(&table.lease().await, &bad[0]).await.unwrap();
    assert_eq!(table.open().find_bad_checkpoints().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_cannot_be_read_without_stays() {
    let table = HandMade::grown(false, 5).await;
    let lease = table.lease().await;
    table.open().checkpoint(&lease).await.unwrap();
    table.store().delete(&commit_path(2)).await.unwrap();
    let bad = BadCheckpoint { version: Some(4), path: checkpoint_path(4).to_string(), reason: String::new() };
    let error = table.open().set_checkpoint_aside(&lease, &bad).await.unwrap_err();
    assert_eq!(error.code(), "checkpoint-not-replaceable");
    assert!(table.exists(checkpoint_path(4).as_ref()).await && table.read().await.is_ok());
}
