//! Namespaces.

use sluice_catalog::{CatalogError, NewTable};
use sluice_domain::{Failure, Namespace, Page, PageRequest};

use crate::samples::{Lake, namespaces, new_table, page};

fn names(page: &Page<Namespace>) -> Vec<&str> {
    page.items.iter().map(|namespace| namespace.name.as_str()).collect()
}

#[tokio::test]
async fn the_first_table_makes_its_namespace_and_its_owner_owns_both() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    let name = "nyc".parse().unwrap();
    let error = tables.find_namespace(&name).await.unwrap_err();
    assert!(matches!(error, CatalogError::NamespaceNotFound { .. }), "{error:?}");
    assert_eq!(error.code(), "not-found");

    tables.reserve(&new_table("nyc.flights")).await.unwrap();
    tables.reserve(&NewTable { owner: "bob".into(), ..new_table("nyc.taxis") }).await.unwrap();
    assert_eq!(tables.find_namespace(&name).await.unwrap().owner, "ada");
}

#[tokio::test]
async fn namespaces_are_listed_by_name_page_by_page_and_only_those_that_are_visible() {
    let lake = Lake::open().await;
    let tables = lake.catalog.tables();
    for name in ["c.t", "a.t", "b.t", "a.u"] {
        tables.reserve(&new_table(name)).await.unwrap();
    }
    let first = tables.list_namespaces(None, &page(2, None)).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    let second = tables.list_namespaces(None, &page(2, first.next)).await.unwrap();
    assert_eq!(names(&second), ["c"]);
    assert!(second.next.is_none());

    let visible = namespaces(&["c", "a", "absent"]);
    let seen = tables.list_namespaces(Some(&visible), &PageRequest::default()).await.unwrap();
    assert_eq!(names(&seen), ["a", "c"]);
    assert!(names(&tables.list_namespaces(Some(&[]), &PageRequest::default()).await.unwrap()).is_empty());
}
