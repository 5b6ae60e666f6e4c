use chrono::TimeDelta;
use object_store::{ObjectStoreExt, path::Path};
use rstest::rstest;
use sluice_domain::Failure;
use uuid::Uuid;

use super::hand_made::{HandMade, name};
use crate::{OrphanSearch, maintenance::log::commit_path};

fn search(table: &HandMade, after: Option<String>, limit: usize) -> OrphanSearch {
    OrphanSearch { grace: TimeDelta::hours(24), now: table.now + TimeDelta::hours(25), after, limit }
}

async fn orphan(table: &HandMade, id: Uuid) -> String {
    let path = format!("k=x%20y/part-00000-{id}.zstd.parquet");
    table.store().put(&Path::parse(&path).unwrap(), "x".into()).await.unwrap();
    path
}

#[rstest]
#[case::in_memory(false)]
#[case::on_disk(true)]
#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_listed_by_page_and_removed(#[case] local: bool) {
    let table = HandMade::grown(local, 9).await;
    let ids: Vec<Uuid> = (0..25).map(|_| Uuid::new_v4()).collect();
    for id in &ids {
        orphan(&table, *id).await;
    }
    let young = OrphanSearch { grace: TimeDelta::hours(26), ..search(&table, None, 100) };
    assert_eq!(table.open().list_orphans(&young).await.unwrap().orphans, []);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = table.open().list_orphans(&search(&table, after, 10)).await.unwrap();
        found.extend(page.orphans);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut wanted: Vec<_> = ids.iter().map(|id| Some(*id)).collect();
    wanted.sort_by_key(|id| id.unwrap().to_string());
    assert_eq!(found.iter().map(|orphan| orphan.upload_id).collect::<Vec<_>>(), wanted);
    let before = table.read().await.unwrap();
    let lease = table.lease().await;
    assert_eq!(table.open().delete_orphans(&lease, &found).await.unwrap(), found);
    assert_eq!(table.open().list_orphans(&search(&table, None, 100)).await.unwrap().orphans, []);
    assert_eq!(table.read().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_names_is_no_orphan_even_if_it_was_one_when_it_was_listed() {
    let mut table = HandMade::grown(false, 9).await;
    let committed = orphan(&table, Uuid::new_v4()).await;
    let anew = orphan(&table, Uuid::new_v4()).await;
    let mut found = table.open().list_orphans(&search(&table, None, 10)).await.unwrap().orphans;
    assert_eq!(found.len(), 2);
    // Somebody may give a list that was not made here.
    let mut forged = found[0].clone();
    for path in [name(8), name(2), commit_path(3).to_string(), "../2/a.parquet".into(), "a.txt".into()] {
        forged.path = path;
        found.push(forged.clone());
    }
    let add = table.file(&committed, Some("x y")).await;
    table.commit(&[add]).await;
    table.store().put(&Path::parse(&anew).unwrap(), "other content".into()).await.unwrap();
    let lease = table.lease().await;
    assert_eq!(table.open().delete_orphans(&lease, &found).await.unwrap(), []);
    assert!(table.exists(&name(8)).await && table.exists(&name(2)).await && table.exists(&anew).await);
    table.read().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_lease_or_the_log_nothing_goes() {
    let table = HandMade::grown(false, 4).await;
    let path = orphan(&table, Uuid::new_v4()).await;
    let found = table.open().list_orphans(&search(&table, None, 10)).await.unwrap().orphans;
    let error = table.open().delete_orphans(&table.lost_lease().await, &found).await.unwrap_err();
    assert_eq!(error.code(), "lease-lost");
    table.store().delete(&commit_path(0)).await.unwrap();
    let error = table.open().delete_orphans(&table.lease().await, &found).await.unwrap_err();
    assert_eq!(error.code(), "bad-log");
    assert!(table.exists(&path).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_table_that_was_never_made_are_orphans() {
    let table = HandMade::new(false);
    let id = Uuid::new_v4();
    orphan(&table, id).await;
    let found = table.open().list_orphans(&search(&table, None, 10)).await.unwrap().orphans;
    assert_eq!(found.iter().map(|orphan| orphan.upload_id).collect::<Vec<_>>(), [Some(id)]);
    assert_eq!(table.open().delete_orphans(&table.lease().await, &found).await.unwrap().len(), 1);
}
