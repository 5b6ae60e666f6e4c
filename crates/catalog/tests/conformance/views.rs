//! Views.

use sluice_catalog::{Catalog, CatalogError, NewView, ViewDefined};
use sluice_domain::{View, ViewColumn, ViewDefinition};

use crate::samples::{Lake, namespaces, new_table, page, table_ref};

fn new_view(name: &str, reads: &[&str]) -> NewView {
    NewView {
        name: table_ref(name),
        definition: ViewDefinition { sql: format!("SELECT 1 AS {}", reads.len()), description: Some("x".into()) },
        reads: reads.iter().map(|name| table_ref(name)).collect(),
        columns: vec![ViewColumn { name: "one".into(), data_type: "long".into() }],
        principal: "ada".into(),
    }
}

async fn make(catalog: &Catalog, new: &NewView) -> View {
    match catalog.views().define(new, 10).await.unwrap() {
        ViewDefined::Made(view) => view,
        other => panic!("{} is not new: {other:?}", new.name),
    }
}

#[tokio::test]
async fn a_view_is_kept_changed_listed_and_forgotten() {
    let lake = Lake::open().await;
    let first = make(&lake.catalog, &new_view("v.a", &["raw.x"])).await;
    assert_eq!((first.reads.clone(), first.columns[0].data_type.as_str()), (vec![table_ref("raw.x")], "long"));
    let again = NewView { principal: "bob".into(), ..new_view("v.a", &["raw.x", "raw.y"]) };
    let ViewDefined::Changed(second) = lake.catalog.views().define(&again, 1).await.unwrap() else { panic!("new") };
    assert_eq!((second.created_at, second.principal.as_str()), (first.created_at, "bob"));
    assert_eq!(second.definition, again.definition);
    let more = lake.catalog.views().define(&new_view("v.b", &[]), 1).await.unwrap();
    assert_eq!(more, ViewDefined::TooMany);
    make(&lake.catalog, &new_view("w.b", &["v.a"])).await;
    let lake = lake.reopen().await;
    let views = lake.catalog.views();
    assert_eq!(views.find(&again.name).await.unwrap(), Some(second));
    let all = views.list(None, &page(1, None)).await.unwrap();
    assert_eq!((all.items.len(), all.next.is_some()), (1, true));
    let some = views.list(Some(&namespaces(&["w"])), &page(9, None)).await.unwrap();
    assert_eq!(some.items.iter().map(|view| view.name.to_string()).collect::<Vec<_>>(), ["w.b"]);
    assert!(views.forget(&again.name).await.unwrap() && !views.forget(&again.name).await.unwrap());
    assert_eq!(views.find(&again.name).await.unwrap(), None);
}

#[tokio::test]
async fn a_name_is_that_of_a_table_or_of_a_view() {
    let lake = Lake::open().await;
    lake.active_table("raw.x").await;
    let taken = lake.catalog.views().define(&new_view("raw.x", &[]), 10).await.unwrap();
    assert_eq!(taken, ViewDefined::NameTaken);
    make(&lake.catalog, &new_view("raw.v", &["raw.x"])).await;
    let refused = lake.catalog.tables().reserve(&new_table("raw.v")).await.unwrap_err();
    assert!(matches!(refused, CatalogError::ViewExists { .. }), "{refused}");
    lake.catalog.tables().delete(&table_ref("raw.x")).await.unwrap();
    make(&lake.catalog, &new_view("raw.x", &[])).await;
    let refused = lake.catalog.tables().restore(&table_ref("raw.x")).await.unwrap_err();
    assert!(matches!(refused, CatalogError::ViewExists { .. }), "{refused}");
}

#[tokio::test]
async fn a_view_that_would_read_itself_is_refused() {
    let lake = Lake::open().await;
    make(&lake.catalog, &new_view("v.a", &["raw.x"])).await;
    make(&lake.catalog, &new_view("v.b", &["v.a"])).await;
    let ViewDefined::Refused(error) = lake.catalog.views().define(&new_view("v.a", &["v.b"]), 10).await.unwrap() else {
        panic!("a cycle")
    };
    assert!(error.to_string().contains("v.a -> v.b -> v.a"), "{error}");
    let kept = lake.catalog.views().find(&table_ref("v.a")).await.unwrap().unwrap();
    assert_eq!(kept.reads, [table_ref("raw.x")]);
}
