//! The whole catalog, out and in.

use sluice_catalog::{Catalog, CatalogError};

use crate::samples::{Lake, new_upload, table_ref};

async fn exported(catalog: &Catalog) -> String {
    let mut text = Vec::new();
    catalog.export(&mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn imported(text: &str) -> (Lake, Result<u64, CatalogError>) {
    let lake = Lake::open().await;
    let done = lake.catalog.import(&mut text.as_bytes()).await;
    (lake, done)
}

async fn filled() -> Lake {
    let lake = Lake::open().await;
    lake.active_table("nyc.flights").await;
    lake.active_table("nyc.flights_10").await;
    lake.catalog.uploads().land(&new_upload("nyc.flights")).await.unwrap();
    lake
}

#[tokio::test]
async fn what_was_exported_is_the_same_after_an_import() {
    let lake = filled().await;
    let text = exported(&lake.catalog).await;
    let (copy, rows) = imported(&text).await;
    assert_eq!(rows.unwrap() as usize, text.lines().count() - 2);
    assert_eq!(exported(&copy.catalog).await, text);
    let copied = copy.reopen().await;
    assert_eq!(copied.catalog.writer(), lake.catalog.writer(), "the lake keeps its name");
    copied.catalog.tables().find(&table_ref("nyc.flights")).await.unwrap();
    assert_eq!(copied.catalog.uploads().unfinished(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_text_that_is_not_whole_changes_nothing() {
    let text = exported(&filled().await.catalog).await;
    let lines: Vec<&str> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n") + "\n";
    let one_less = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    let foreign = text.replacen("\"namespaces\"", "\"sqlite_master\"", 1);
    let injected = text.replacen("\"owner\"", "\"owner) SELECT 1; --\"", 1);
    for damaged in ["", "\n", "{}\n", &text[..text.len() / 2], &without_end, &one_less, &foreign, &injected] {
        let (lake, done) = imported(damaged).await;
        assert!(matches!(done, Err(CatalogError::Corrupt { .. })), "{done:?}");
        lake.catalog.import(&mut text.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_catalog_that_holds_something_takes_no_import() {
    let lake = filled().await;
    let text = exported(&lake.catalog).await;
    let error = lake.catalog.import(&mut text.as_bytes()).await.unwrap_err();
    assert!(error.to_string().contains("not a new one"), "{error}");
    assert_eq!(exported(&lake.catalog).await, text);
}
