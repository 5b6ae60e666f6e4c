//! Tables.

use std::collections::HashSet;

use rstest::rstest;
use sluice_catalog::{CatalogError, NewTable, TableChange};
use sluice_domain::{ErrorKind, Failure, Page, PageRequest, PageToken, TableEntry, TableId, TableState};
use uuid::Uuid;

use crate::samples::{Lake, begin, namespaces, new_table, page, table_ref};

fn names(page: &Page<TableEntry>) -> Vec<String> {
    page.items.iter().map(|table| table.name.to_string()).collect()
}

#[tokio::test]
async fn a_reserved_table_has_a_place_of_its_own_and_is_not_found_by_name() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let entry = tables.reserve(&new_table("nyc.flights")).await.unwrap();
    assert_eq!(entry.state, TableState::Reserved);
    assert_eq!(entry.path, format!("tables/nyc/flights/{}", entry.id));
    assert_eq!((entry.owner.as_str(), entry.partition_by.as_slice()), ("ada", &["year".to_owned()][..]));
    assert_eq!((entry.created_at, entry.description, entry.deleted_at), (entry.updated_at, None, None));

    let error = tables.find(&entry.name).await.unwrap_err();
    assert!(matches!(&error, CatalogError::TableNotFound { name } if name == "nyc.flights"), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "not-found"));
    assert!(tables.list(None, None, &PageRequest::default()).await.unwrap().items.is_empty());
    assert_eq!(tables.find_by_id(entry.id).await.unwrap().name, entry.name);
}

#[tokio::test]
async fn a_reserved_table_takes_the_new_partitioning_and_an_active_one_does_not() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let first = tables.reserve(&new_table("nyc.flights")).await.unwrap();
    let by_month = NewTable { partition_by: vec!["month".into()], owner: "bob".into(), ..new_table("NYC.Flights") };
    let second = tables.reserve(&by_month).await.unwrap();
    assert_eq!((second.id, second.owner.as_str(), second.partition_by), (first.id, "ada", vec!["month".to_owned()]));

    tables.activate(first.id, &["day".to_owned()]).await.unwrap();
    let third = tables.reserve(&by_month).await.unwrap();
    assert_eq!((third.id, third.state, third.partition_by), (first.id, TableState::Active, vec!["day".to_owned()]));
}

#[tokio::test]
async fn activating_twice_changes_nothing_more() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let active = lake.active_table("nyc.flights").await;
    tables.activate(active.id, &active.partition_by).await.unwrap();
    assert_eq!(tables.find(&active.name).await.unwrap().updated_at, active.updated_at);
    let error = tables.activate(TableId(Uuid::now_v7()), &[]).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_reserve_one_name_at_once_all_get_the_same_table() {
    let lake = Lake::open().await;
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let catalog = lake.catalog.clone();
            tokio::spawn(async move { catalog.tables().reserve(&new_table("nyc.flights")).await.unwrap().id })
        })
        .collect();
    let mut ids = HashSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap());
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_description_is_set_kept_and_taken_away() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let name = lake.active_table("nyc.flights").await.name;
    let text = "Départs d'avions; \"quoted\"".to_owned();
    let set = TableChange { description: Some(Some(text.clone())), ..TableChange::default() };
    assert_eq!(tables.change(&name, set.clone(), "ada").await.unwrap().description.as_ref(), Some(&text));
    let unchanged = tables.change(&name, TableChange::default(), "ada").await.unwrap();
    assert_eq!(unchanged.description, Some(text));
    let cleared =
        tables.change(&name, TableChange { description: Some(None), ..TableChange::default() }, "ada").await.unwrap();
    assert_eq!(cleared.description, None);
    assert!(cleared.updated_at >= unchanged.updated_at);

    for change in [set, TableChange::default()] {
        let error = tables.change(&table_ref("nyc.absent"), change, "ada").await.unwrap_err();
        assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_deleted_table_comes_back_as_it_was() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let active = lake.active_table("nyc.flights").await;
    let deleted = tables.delete(&active.name).await.unwrap();
    assert_eq!((deleted.id, deleted.state), (active.id, TableState::Deleted));
    assert!(deleted.deleted_at.is_some());
    assert!(tables.find(&active.name).await.is_err());
    assert!(tables.delete(&active.name).await.is_err());
    assert!(tables.activate(active.id, &[]).await.is_err(), "a deleted table was brought back by a late commit");
    assert_eq!(tables.find_by_id(active.id).await.unwrap().state, TableState::Deleted);

    let restored = tables.restore(&active.name).await.unwrap();
    assert_eq!((restored.id, restored.state, restored.deleted_at), (active.id, TableState::Active, None));
    assert_eq!(restored.partition_by, active.partition_by);
    assert_eq!(tables.find(&active.name).await.unwrap().id, active.id);
}

#[tokio::test]
async fn the_name_of_a_deleted_table_is_free_and_the_last_deleted_comes_back_first() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let older = lake.active_table("nyc.flights").await;
    tables.delete(&older.name).await.unwrap();
    let newer = lake.active_table("nyc.flights").await;
    assert_ne!((newer.id, &newer.path), (older.id, &older.path));

    let error = tables.restore(&older.name).await.unwrap_err();
    assert!(matches!(error, CatalogError::TableExists { .. }), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "table-exists"));

    tables.delete(&newer.name).await.unwrap();
    assert_eq!(tables.restore(&older.name).await.unwrap().id, newer.id);
}

#[tokio::test]
async fn a_name_that_is_only_reserved_cannot_be_deleted_and_makes_way_for_the_deleted_table() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let active = lake.active_table("nyc.flights").await;
    tables.delete(&active.name).await.unwrap();
    let reserved = tables.reserve(&new_table("nyc.flights")).await.unwrap();
    let other = tables.reserve(&new_table("nyc.taxis")).await.unwrap();
    assert!(matches!(tables.delete(&active.name).await.unwrap_err(), CatalogError::TableNotFound { .. }));

    let restored = tables.restore(&active.name).await.unwrap();
    assert_eq!((restored.id, restored.state), (active.id, TableState::Active));
    assert_eq!(tables.find(&active.name).await.unwrap().id, active.id);
    let gone = tables.find_by_id(reserved.id).await.unwrap_err();
    assert!(matches!(gone, CatalogError::TableNotFound { .. }), "{gone:?}");
    assert_eq!(tables.find_by_id(other.id).await.unwrap().state, TableState::Reserved);
}

#[tokio::test]
async fn a_reserved_table_to_which_a_commit_was_begun_keeps_its_name() {
    let lake = Lake::open().await;
    let (tables, uploads) = (lake.catalog.tables(), lake.catalog.uploads());
    for (name, through) in [("nyc.flights", None), ("nyc.taxis", Some(7))] {
        let name = lake.active_table(name).await.name;
        tables.delete(&name).await.unwrap();
        let reserved = tables.reserve(&new_table(&name.to_string())).await.unwrap();
        match through {
            None => {
                let upload = lake.landed(&name.to_string()).await;
                begin(uploads, upload, reserved.id).await.unwrap();
            }
            Some(through) => uploads.skip_sequences(reserved.id, through).await.unwrap(),
        }
        let error = tables.restore(&name).await.unwrap_err();
        assert!(matches!(error, CatalogError::TableExists { .. }), "{error:?}");
        assert_eq!(tables.find_by_id(reserved.id).await.unwrap().state, TableState::Reserved);
    }
}

#[tokio::test]
async fn a_restore_without_a_deleted_table_changes_nothing() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let reserved = tables.reserve(&new_table("nyc.flights")).await.unwrap();
    for name in ["nyc.flights", "nyc.absent"] {
        let error = tables.restore(&table_ref(name)).await.unwrap_err();
        assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    }
    assert_eq!(tables.reserve(&new_table("nyc.flights")).await.unwrap().id, reserved.id);
}

#[tokio::test]
async fn a_long_listing_comes_in_pages_each_table_once() {
    let lake = Lake::open().await;
    for number in 0..250 {
        lake.active_table(&format!("n{}.t{number:03}", number % 3)).await;
    }
    let (mut seen, mut sizes, mut token) = (Vec::new(), Vec::new(), None);
    loop {
        let listed = lake.catalog.tables().list(None, None, &page(100, token)).await.unwrap();
        seen.extend(names(&listed));
        sizes.push(listed.items.len());
        token = listed.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
    assert!(seen.is_sorted() && seen.iter().collect::<HashSet<_>>().len() == 250);
}

#[rstest]
#[case::all(None, None, &["a-b.t", "a.t", "a.u", "b.t"])]
#[case::one_namespace(Some("a"), None, &["a.t", "a.u"])]
#[case::those_visible(None, Some(&["b", "a-b"][..]), &["a-b.t", "b.t"])]
#[case::one_that_is_visible(Some("a"), Some(&["a", "b"][..]), &["a.t", "a.u"])]
#[case::one_that_is_not_visible(Some("a"), Some(&["b"][..]), &[])]
#[case::none_visible(None, Some(&[][..]), &[])]
#[case::one_that_is_absent(Some("absent"), None, &[])]
#[tokio::test]
async fn a_listing_shows_what_is_asked_for_and_visible(
    #[case] namespace: Option<&str>,
    #[case] visible: Option<&[&str]>,
    #[case] expected: &[&str],
) {
    let lake = Lake::open().await;
    for name in ["b.t", "a.u", "a-b.t", "a.t", "a.gone"] {
        lake.active_table(name).await;
    }
    lake.catalog.tables().delete(&table_ref("a.gone")).await.unwrap();
    let namespace = namespace.map(|name| name.parse().unwrap());
    let visible = visible.map(namespaces);
    let (mut seen, mut token) = (Vec::new(), None);
    loop {
        let request = page(1, token);
        let listed = lake.catalog.tables().list(namespace.as_ref(), visible.as_deref(), &request).await.unwrap();
        seen.extend(names(&listed));
        token = listed.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

#[rstest]
#[case::nothing(0, 1)]
#[case::too_much(u32::MAX, 3)]
#[tokio::test]
async fn a_page_size_out_of_bounds_is_moved_into_them(#[case] size: u32, #[case] expected: usize) {
    let lake = Lake::open().await;
    for name in ["a.t", "b.t", "c.t"] {
        lake.active_table(name).await;
    }
    let listed = lake.catalog.tables().list(None, None, &page(size, None)).await.unwrap();
    assert_eq!(listed.items.len(), expected);
}

#[tokio::test]
async fn a_hostile_token_is_only_a_place_in_the_order() {
    let lake = Lake::open().await;
    lake.active_table("nyc.flights").await;
    let token = PageToken::after("' OR 1=1; DROP TABLE tables; --");
    assert_eq!(lake.catalog.tables().list(None, None, &page(10, Some(token))).await.unwrap().items.len(), 1);
    let token = PageToken::after("z' OR 1=1 --");
    assert!(lake.catalog.tables().list(None, None, &page(10, Some(token))).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn tables_outlive_a_restart() {
    let lake = Lake::open().await;
    let change = TableChange { description: Some(Some("departures".into())), ..TableChange::default() };
    let before = lake.active_table("nyc.flights").await;
    let before = lake.catalog.tables().change(&before.name, change, "ada").await.unwrap();
    let reserved = lake.catalog.tables().reserve(&new_table("nyc.taxis")).await.unwrap();
    let lake = lake.reopen().await;
    let after = lake.catalog.tables().find(&before.name).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(lake.catalog.tables().reserve(&new_table("nyc.taxis")).await.unwrap().id, reserved.id);
}
