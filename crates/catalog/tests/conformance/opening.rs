//! Opening and closing.

use sluice_catalog::{Catalog, CatalogError};
use sluice_domain::{ErrorKind, Failure};

use crate::samples::{Lake, table_ref};

#[tokio::test]
async fn the_folder_is_made_if_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&dir.path().join("a/b")).await.unwrap();
    catalog.ping().await.unwrap();
    assert!(dir.path().join("a/b/sluice.lock").is_file());
}

#[tokio::test]
async fn a_second_catalog_of_one_folder_is_refused_until_the_first_is_closed() {
    let lake = Lake::open().await;
    let error = Catalog::open(lake.dir.path()).await.unwrap_err();
    assert!(matches!(&error, CatalogError::DataDirInUse { path } if path == lake.dir.path()), "{error:?}");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "data-dir-in-use"));
    lake.reopen().await.catalog.ping().await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_clone_gives_the_folder_free() {
    let Lake { dir, catalog } = Lake::open().await;
    let clone = catalog.clone();
    drop(catalog);
    assert!(Catalog::open(dir.path()).await.is_err());
    drop(clone);
    Catalog::open(dir.path()).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_closed_catalog_is_unavailable() {
    let lake = Lake::open().await;
    let clone = lake.catalog.clone();
    lake.catalog.close().await.unwrap();
    for error in [
        clone.ping().await.unwrap_err(),
        clone.tables().find(&table_ref("nyc.flights")).await.unwrap_err(),
        clone.tables().delete(&table_ref("nyc.flights")).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "catalog-unavailable"), "{error:?}");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Catalog::open(&dir.path().join("file/below")).await.unwrap_err();
    assert_eq!(error.code(), "catalog-unavailable");
}
