//! Creating and appending, by one process and by several.

use std::{collections::BTreeSet, sync::Arc};

use sluice_domain::Failure as _;
use sluice_table::{COMMIT_ID_TAG, Compact, CreateOutcome, Operation, TableError};

use crate::lake::{Lake, row, upload};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_of_two_processes_are_all_there() {
    let (lake, _) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let lake = Arc::new(lake);
    let tables = [Arc::new(lake.open()), Arc::new(lake.open())];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=32 {
        let (lake, side) = (lake.clone(), (number % 2) as usize);
        let table = tables[side].clone();
        tasks.spawn(async move {
            let files = lake.write(&[row(number, "a", number)]).await;
            let _turn = table.take_turn().await;
            table.append(&lake.commit(["even", "odd"][side], files)).await.unwrap().version
        });
    }
    let versions: BTreeSet<u64> = tasks.join_all().await.into_iter().collect();
    assert_eq!(versions, (1..=32).collect());
    let keys: Vec<i64> = lake.rows().await.into_iter().map(|row| row.0.unwrap()).collect();
    assert_eq!(keys, (0..=32).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_creators_one_wins() {
    for _ in 0..8 {
        let lake = Arc::new(Lake::new());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..16 {
            let lake = lake.clone();
            tasks.spawn(async move {
                let commit = lake.commit(&format!("app{number}"), lake.write(&[row(number, "a", 1)]).await);
                lake.open().create(&lake.new_table(), &commit).await.unwrap()
            });
        }
        let made = tasks.join_all().await.into_iter().filter(|made| matches!(made, CreateOutcome::Created(_))).count();
        assert_eq!(made, 1);
        let log = lake.log().await;
        assert_eq!(log.len(), 1);
        assert_eq!(log[0].iter().filter(|line| line["metaData"].is_object()).count(), 1);
        assert_eq!(lake.rows().await.len(), 1);
    }
}

#[tokio::test]
async fn a_repeated_commit_is_answered_with_the_entry_that_is_there() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let mut commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    commit.uploads = vec![upload("one"), upload("two")];
    let first = table.append(&commit).await.unwrap();
    for table in [&table, &lake.open()] {
        assert_eq!(table.append(&commit).await.unwrap(), first);
        for id in ["one", "two"] {
            let found = table.find_committed("app", commit.transaction.sequence, id).await.unwrap();
            assert_eq!(found.as_ref(), Some(&first));
        }
        assert_eq!(table.find_committed("app", commit.transaction.sequence, "three").await.unwrap(), None);
        assert_eq!(table.find_committed("app", commit.transaction.sequence + 1, "one").await.unwrap(), None);
        assert_eq!(table.find_committed("other", 1, "one").await.unwrap(), None);
    }
    assert_eq!(lake.rows().await.len(), 2);
    let version = &table.versions(None, 1).await.unwrap()[0];
    assert_eq!(version.uploads, commit.uploads);
}

#[tokio::test]
async fn a_sequence_of_a_foreign_commit_is_taken() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    table.append(&commit).await.unwrap();
    let mut other = lake.commit("app", lake.write(&[row(2, "a", 2)]).await);
    other.transaction.sequence = commit.transaction.sequence;
    let error = lake.open().append(&other).await.unwrap_err();
    assert!(
        matches!(error, TableError::SequenceTaken { newest } if newest == commit.transaction.sequence),
        "{error:?}"
    );
    assert_eq!(lake.rows().await.len(), 2);
}

#[tokio::test]
async fn an_entry_names_who_wrote_it_and_gives_its_bytes() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let mut commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    commit.tags = [("sluice.note", "hello"), ("operation", "nothing")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let entry = table.append(&commit).await.unwrap();
    let log = lake.log().await;
    let lines = serde_json::Deserializer::from_slice(&entry.bytes).into_iter::<serde_json::Value>();
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), log[1]);
    let info = &log[1][0]["commitInfo"];
    assert_eq!((&info["operation"], &info["sluice.note"]), (&"WRITE".into(), &"hello".into()));
    assert!(info["engineInfo"].as_str().unwrap().starts_with("sluice/"));
    assert_ne!(info[COMMIT_ID_TAG], log[0][0]["commitInfo"][COMMIT_ID_TAG]);
    assert_eq!(log[1][1]["txn"]["appId"], "app");
}

#[tokio::test]
async fn a_file_tells_its_hash_and_size() {
    use object_store::ObjectStoreExt as _;
    use sha2::Digest as _;
    let (lake, _) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    for file in lake.write(&[row(1, "a b", 1), row(2, "c", 2), row(3, "c", 2)]).await {
        let path = object_store::path::Path::parse(file.path()).unwrap();
        let bytes = lake.folder.store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(file.size_bytes(), bytes.len() as u64);
        assert_eq!(file.sha256(), hex::encode(sha2::Sha256::digest(&bytes)));
        assert_eq!(file.rows(), if file.path().contains("p=c") { 2 } else { 1 });
    }
}

#[tokio::test]
async fn an_append_to_nothing_is_refused() {
    let lake = Lake::new();
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    assert_eq!(lake.open().append(&commit).await.unwrap_err().code(), "not-found");
    let outcome = lake.apply(&lake.open(), &Operation::Compact(Compact::default())).await;
    assert_eq!(outcome.unwrap_err().code(), "not-found");
}
