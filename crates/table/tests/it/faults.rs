//! Stores that lose answers: nothing is doubled, nothing is lost, and no commit that took is called failed.

use rstest::rstest;
use sluice_domain::Failure as _;
use sluice_table::{CommitFailure, CreateOutcome, Delete, Operation, TableError};

use crate::{
    fault_store::Fault,
    lake::{Lake, row},
};

#[rstest]
#[case::before(vec![Fault::Before])]
#[case::before_twice(vec![Fault::Before, Fault::Before])]
#[case::after(vec![Fault::After])]
#[case::exists(vec![Fault::AfterThenExists])]
#[case::late(vec![Fault::Late])]
#[case::blind(vec![Fault::AfterAndBlind])]
#[case::mixed(vec![Fault::Before, Fault::Late])]
#[tokio::test]
async fn a_lost_answer_neither_doubles_nor_loses(#[case] faults: Vec<Fault>) {
    let lake = Lake::new();
    let table = lake.open();
    let commit = lake.commit("app", lake.write(&[row(0, "a", 0)]).await);
    lake.store.fail_next(faults.clone());
    let created = table.create(&lake.new_table(), &commit).await.unwrap();
    assert!(matches!(created, CreateOutcome::Created(entry) if entry.version == 0));
    lake.store.fail_next(faults.clone());
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1), row(2, "a", 2)]).await);
    assert_eq!(table.append(&commit).await.unwrap().version, 1);
    lake.store.fail_next(faults);
    let applied = lake.apply(&table, &Operation::Delete(Delete { predicate: "k = 1".to_owned() })).await.unwrap();
    assert_eq!(applied.entry.unwrap().version, 2);
    assert_eq!(lake.store.faults_left(), 0);
    assert_eq!(lake.log().await.len(), 3);
    assert_eq!(lake.rows().await, [row(0, "a", 0), row(2, "a", 2)]);
}

#[tokio::test]
async fn what_cannot_be_told_is_not_called_a_failure() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    lake.store.fail_next([Fault::Before; 8]);
    let error = table.append(&commit).await.unwrap_err();
    assert!(matches!(error, TableError::Commit(CommitFailure::Unresolved { version: 1 })), "{error:?}");
    assert_eq!(error.code(), "commit-unresolved");
    let sequence = commit.transaction.sequence;
    assert_eq!(table.find_committed("app", sequence, &commit.uploads[0].id).await.unwrap(), None);
    assert_eq!(table.append(&commit).await.unwrap().version, 1);
    assert_eq!(lake.rows().await.len(), 2);
}

#[tokio::test]
async fn a_refusal_is_answered_at_once() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let commit = lake.commit("app", lake.write(&[row(1, "a", 1)]).await);
    lake.store.fail_next([Fault::Refused, Fault::Before]);
    assert_eq!(table.append(&commit).await.unwrap_err().code(), "storage-refused");
    assert_eq!(lake.store.faults_left(), 1);
    assert_eq!(lake.rows().await.len(), 1);
}

#[tokio::test]
async fn an_entry_of_another_writer_in_the_place_of_a_lost_one_is_not_taken_for_it() {
    let (lake, table) = Lake::with_rows(&[&[row(0, "a", 0)]]).await;
    let other = lake.open();
    let commits = [
        lake.commit("one", lake.write(&[row(1, "a", 1)]).await),
        lake.commit("two", lake.write(&[row(2, "a", 2)]).await),
    ];
    // The first writer's entry is lost on its way, and the second takes its version.
    lake.store.fail_next([Fault::Before]);
    let (one, two) = tokio::join!(table.append(&commits[0]), other.append(&commits[1]));
    let mut versions = [one.unwrap().version, two.unwrap().version];
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
    assert_eq!(lake.rows().await.len(), 3);
}
