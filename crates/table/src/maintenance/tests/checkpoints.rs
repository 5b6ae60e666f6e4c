use object_store::{ObjectStoreExt, path::Path};
use rstest::rstest;
use serde_json::json;
use sluice_domain::Failure;
use sluice_storage::LeaseError;

use super::{
    faults::Fault,
    hand_made::{HandMade, ROWS, name},
};
use crate::{
    MaintenanceError,
    maintenance::{
        actions::Line,
        checkpoint::verify,
        log::{Log, checkpoint_path, commit_path, hint_path},
        replay::Replay,
    },
};

#[rstest]
#[case::in_memory(false)]
#[case::on_disk(true)]
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_stands_for_every_commit_before_it(#[case] local: bool) {
    let mut table = HandMade::grown(local, 12).await;
    for (number, (folder, value)) in
        [("k=__HIVE_DEFAULT_PARTITION__", None), ("k=a%2Fb", Some("a/b")), ("k=50%25 ü", Some("50% ü"))]
            .into_iter()
            .enumerate()
    {
        let add = table.file(&format!("{folder}/part-{number}.parquet"), value).await;
        table.commit(&[add, table.transaction(&format!("app {number}"), i64::MAX)]).await;
    }
    let before = table.read().await.unwrap();
    assert_eq!(before, (14, 11, 11 * ROWS));
    let lease = table.lease().await;
    assert_eq!(table.open().checkpoint(&lease).await.unwrap().map(|written| written.version), Some(14));
    assert_eq!(table.open().last_checkpoint().await.unwrap(), Some(14));
    assert_eq!(table.open().checkpoint(&lease).await.unwrap(), None);
    assert_eq!(table.open().find_bad_checkpoints().await.unwrap(), []);
    for version in 0..14 {
        table.store().delete(&commit_path(version)).await.unwrap();
    }
    assert_eq!(table.read().await.unwrap(), before);
    table.commit(&[table.removal(&name(4), 0)]).await;
    assert_eq!(table.read().await.unwrap(), (15, 10, 10 * ROWS));
    assert_eq!(
        table.open().checkpoint(&lease).await.unwrap().map(|written| written.version),
        Some(15),
        "a checkpoint on top of a checkpoint"
    );
    assert_eq!(table.read().await.unwrap(), (15, 10, 10 * ROWS));
}

#[tokio::test]
async fn a_checkpoint_is_written_on_one_thread_too() {
    let table = HandMade::grown(false, 4).await;
    assert_eq!(table.open().checkpoint(&table.lease().await).await.unwrap().map(|written| written.version), Some(3));
    assert_eq!(table.read().await.unwrap(), (3, 2, 2 * ROWS));
}

#[tokio::test]
async fn a_folder_without_a_table_has_no_checkpoint() {
    let table = HandMade::new(false);
    assert_eq!(table.open().checkpoint(&table.lease().await).await.unwrap(), None);
}

#[rstest]
#[case::not_written(Fault::PutFails, ".checkpoint.parquet", false)]
#[case::written_with_an_error(Fault::PutFailsAfter, ".checkpoint.parquet", true)]
#[case::half_written(Fault::PutIsCut, ".checkpoint.parquet", false)]
#[case::no_hint(Fault::PutFails, "_last_checkpoint", false)]
#[case::hint_with_an_error(Fault::PutFailsAfter, "_last_checkpoint", false)]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_readable_after_each_failure_and_the_next_try_succeeds(
    #[case] fault: Fault,
    #[case] ending: &str,
    #[case] succeeds: bool,
) {
    for local in [false, true] {
        let mut table = HandMade::grown(local, 8).await;
        let lease = table.lease().await;
        table.open().checkpoint(&lease).await.unwrap();
        let add = table.file("k=z/a.parquet", Some("z")).await;
        table.commit(&[add]).await;
        let before = table.read().await.unwrap();
        table.trigger.arm(fault, ending);
        assert_eq!(table.open().checkpoint(&lease).await.is_ok(), succeeds);
        assert!(!table.trigger.is_armed());
        assert_eq!(table.read().await.unwrap(), before);
        table.open().checkpoint(&lease).await.unwrap();
        assert_eq!(table.open().last_checkpoint().await.unwrap(), Some(8));
        assert_eq!(table.read().await.unwrap(), before);
        assert_eq!(table.open().find_bad_checkpoints().await.unwrap(), []);
    }
}

#[rstest]
#[case::in_memory(false)]
#[case::on_disk(true)]
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_that_tore_a_checkpoint_is_mended(#[case] local: bool) {
    for kept_bytes in [0, 100, 1000] {
        let table = HandMade::grown(local, 8).await;
        let lease = table.lease().await;
        let before = table.read().await.unwrap();
        table.open().checkpoint(&lease).await.unwrap();
        let whole = table.store().get(&checkpoint_path(7)).await.unwrap().bytes().await.unwrap();
        table.store().put(&checkpoint_path(7), whole.slice(..kept_bytes).into()).await.unwrap();
        table.store().delete(&hint_path()).await.unwrap();
        // An empty checkpoint is passed over where no hint points to it.
        assert_eq!(table.read().await.is_err(), kept_bytes > 0, "{kept_bytes}");
        assert_eq!(table.open().checkpoint(&lease).await.unwrap().map(|written| written.version), Some(7));
        assert_eq!(table.read().await.unwrap(), before);
        assert_eq!(table.names("_sluice/aside").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_nothing_is_written() {
    let table = HandMade::grown(false, 4).await;
    let error = table.open().checkpoint(&table.lost_lease().await).await.unwrap_err();
    assert!(matches!(error, MaintenanceError::Lease(LeaseError::Lost { .. })), "{error:?}");
    assert_eq!(error.code(), "lease-lost");
    let log = Log::list(&table.folder.store).await.unwrap();
    assert!(log.checkpoints.is_empty() && !table.exists("_delta_log/_last_checkpoint").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_torn_or_missing_is_not_written_into_a_checkpoint() {
    let table = HandMade::grown(false, 6).await;
    let lease = table.lease().await;
    let whole = table.store().get(&commit_path(3)).await.unwrap().bytes().await.unwrap();
    for kept_bytes in [0, 150] {
        table.store().put(&commit_path(3), whole.slice(..kept_bytes).into()).await.unwrap();
        let error = table.open().checkpoint(&lease).await.unwrap_err();
        assert_eq!(error.code(), "bad-log", "{error:?}");
    }
    table.store().delete(&commit_path(3)).await.unwrap();
    assert_eq!(table.open().checkpoint(&lease).await.unwrap_err().code(), "bad-log");
    assert_eq!(table.names("_delta_log").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_or_changes_nothing() {
    const FLIPS: usize = 300;
    let table = HandMade::grown(false, 12).await;
    table.open().checkpoint(&table.lease().await).await.unwrap();
    let log = Log::list(&table.folder.store).await.unwrap();
    let whole = log.checkpoint(11).await.unwrap();
    let expected = Replay::of(&log, 11, true).await.unwrap().state;
    let (before, mut found, mut unseen) = (table.read().await.unwrap(), 0, Vec::new());
    for flip in 0..FLIPS {
        let mut bytes = whole.to_vec();
        bytes[flip * whole.len() / FLIPS] ^= 1 << (flip % 8);
        match verify(&expected, bytes.clone().into(), 11).await {
            Err(MaintenanceError::NotVerified { .. }) => found += 1,
            Err(error) => panic!("{flip}: {error:?}"),
            Ok(_) => {
                table.store().put(&checkpoint_path(11), bytes.into()).await.unwrap();
                match table.read().await {
                    Ok(after) if after == before => {}
                    outcome => unseen.push((flip, outcome)),
                }
            }
        }
    }
    assert!(unseen.is_empty(), "{} of {FLIPS} change what is read and were not found: {unseen:?}", unseen.len());
    // Many bits of a Parquet file say what no reader asks for: bounds, sizes, names of encodings.
    assert!(found > FLIPS / 4, "{found} of {FLIPS} found");
}

/// The state of a table with these lines in its only commit.
async fn state(lines: &[serde_json::Value]) -> Replay {
    let text = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    Replay::default().apply_commit(text.into(), 0).await.unwrap()
}

#[tokio::test]
async fn no_difference_goes_unseen() {
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    let metadata = json!({"metaData": {"id": "1", "schemaString": "{}", "partitionColumns": ["k"],
        "format": {"provider": "parquet"}, "configuration": {}}});
    let add = |change: serde_json::Value| {
        let mut add = json!({"path": "a", "partitionValues": {"k": null}, "size": 1, "modificationTime": 2,
            "dataChange": true, "stats": "{}"});
        add.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"add": add})
    };
    let same = add(json!({}));
    let txn = |version| json!({"txn": {"appId": "w", "version": version}});
    let remove = json!({"remove": {"path": "b", "deletionTimestamp": 5}});
    let lines = vec![protocol.clone(), metadata.clone(), same.clone(), txn(7), remove.clone()];
    let expected = state(&lines).await.state;
    expected.agrees_with(&state(&lines).await.state).unwrap();
    let unchanged = vec![protocol.clone(), metadata.clone(), add(json!({"dataChange": false})), txn(7)];
    expected.agrees_with(&state(&unchanged).await.state).unwrap();
    expected.tells_removals_to(&state(&unchanged).await.state, 6).unwrap();
    expected.tells_removals_to(&state(&unchanged).await.state, 5).unwrap_err();
    let replaced = |at: usize, with: serde_json::Value| {
        let mut lines = lines.clone();
        lines[at] = with;
        lines
    };
    let mut metadata_of_another = metadata;
    metadata_of_another["metaData"]["id"] = json!("2");
    let vector = json!({"storageType": "u", "pathOrInlineDv": "x", "sizeInBytes": 1, "cardinality": 1});
    let different = [
        replaced(0, json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 3}})),
        replaced(1, metadata_of_another),
        replaced(2, add(json!({"path": "c"}))),
        replaced(2, add(json!({"size": 2}))),
        replaced(2, add(json!({"stats": null}))),
        replaced(2, add(json!({"partitionValues": {"k": "x"}}))),
        replaced(2, add(json!({"partitionValues": {}}))),
        replaced(2, add(json!({"deletionVector": vector}))),
        replaced(2, remove.clone()),
        replaced(3, txn(6)),
        replaced(3, remove.clone()),
        replaced(4, json!({"remove": {"path": "c", "deletionTimestamp": 5}})),
        replaced(4, json!({"remove": {"path": "b", "deletionTimestamp": 6}})),
        replaced(4, json!({"domainMetadata": {"domain": "d", "configuration": "", "removed": false}})),
        [lines.clone(), vec![add(json!({"path": "c"}))]].concat(),
        [lines.clone(), vec![json!({"txn": {"appId": "v", "version": 1}})]].concat(),
    ];
    for lines in different {
        let found = state(&lines).await.state;
        assert!(expected.agrees_with(&found).is_err(), "{lines:?}");
    }
}

#[test]
fn a_line_of_a_kind_that_nobody_knows_is_read_over() {
    let line: Line = serde_json::from_value(json!({"fromTheFuture": {"path": "x"}})).unwrap();
    assert!(line.add.is_none() && line.remove.is_none());
    assert!(Path::from(name(1)).as_ref().contains("%25"), "the name of the sample needs encoding");
}
