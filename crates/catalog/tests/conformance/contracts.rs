//! Contracts.

use sluice_catalog::CatalogError;
use sluice_domain::{Contract, TableId, Terms};
use uuid::Uuid;

use crate::samples::{Lake, new_table};

fn contract() -> Contract {
    serde_json::from_str(
        r#"{"columns": "freeze", "types": "quarantine_rows", "max_bad_rows": 9, "max_bad_fraction": 0.1,
            "rules": [{"name": "Über 0", "column": "b", "check": {"minimum": 0.1}, "message": "nö", "action": "reject"}]}"#,
    )
    .unwrap()
}

#[tokio::test]
async fn a_table_asks_for_nothing_until_somebody_says_so() {
    let lake = Lake::open().await;
    let table = lake.active_table("nyc.flights").await.id;
    let other = lake.active_table("nyc.taxis").await.id;
    let contracts = lake.catalog.contracts();
    assert_eq!(contracts.terms(table).await.unwrap(), Terms::default());
    contracts.set_coerce(table, true, "ada").await.unwrap();
    assert_eq!(contracts.terms(table).await.unwrap(), Terms { coerce: true, ..Terms::default() });
    contracts.set_contract(table, &contract(), "bob").await.unwrap();
    let lake = lake.reopen().await;
    let contracts = lake.catalog.contracts();
    assert_eq!(contracts.terms(table).await.unwrap(), Terms { contract: contract(), coerce: true, suite: None });
    contracts.set_contract(table, &Contract::default(), "ada").await.unwrap();
    contracts.set_coerce(table, false, "ada").await.unwrap();
    assert_eq!(contracts.terms(table).await.unwrap(), Terms::default());
    assert_eq!(contracts.terms(other).await.unwrap(), Terms::default());
}

#[tokio::test]
async fn a_table_that_comes_back_has_its_own_contract() {
    let lake = Lake::open().await;
    let first = lake.active_table("nyc.flights").await;
    lake.catalog.contracts().set_contract(first.id, &contract(), "ada").await.unwrap();
    lake.catalog.tables().delete(&first.name).await.unwrap();
    let reserved = lake.catalog.tables().reserve(&new_table("nyc.flights")).await.unwrap();
    assert_eq!(lake.catalog.contracts().terms(reserved.id).await.unwrap(), Terms::default());
    let restored = lake.catalog.tables().restore(&first.name).await.unwrap();
    assert_eq!(lake.catalog.contracts().terms(restored.id).await.unwrap().contract, contract());
}

#[tokio::test]
async fn a_table_that_does_not_exist_asks_for_nothing_and_gets_no_contract() {
    let lake = Lake::open().await;
    let absent = TableId(Uuid::now_v7());
    let error = lake.catalog.contracts().set_contract(absent, &contract(), "ada").await.unwrap_err();
    assert!(matches!(error, CatalogError::TableNotFound { .. }), "{error:?}");
    assert_eq!(lake.catalog.contracts().terms(absent).await.unwrap(), Terms::default());
}
