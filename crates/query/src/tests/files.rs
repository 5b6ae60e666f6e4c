//! Tables that are files behind stores.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use datafusion::datasource::{
    file_format::csv::CsvFormat,
    listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
};
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use sluice_domain::{Caller, ErrorKind, Failure, TableRef};

use crate::{
    Extent, OpenError, OpenedTable, OutputFormat, QueryError, QueryRequest, QueryService, QuerySettings, TableAddress,
    TableOpener, TableResolver, ViewText,
    tests::{
        failing::FailingStore,
        lake::{TestQueries, address_of},
    },
};

/// Each table is two CSV files in a store of its own, under one scheme and host; `shop.thief` names files of another,
/// the files of `shop.missing` are listed but not there, and the store of `shop.down` does not answer.
struct Folders;

#[async_trait]
impl TableResolver for Folders {
    async fn resolve(&self, _: &Caller, table: &TableRef) -> Result<TableAddress, OpenError> {
        Ok(address_of(table))
    }

    async fn view(&self, _: &Caller, _: &TableRef) -> Result<Option<ViewText>, OpenError> {
        Ok(None)
    }
}

#[async_trait]
impl TableOpener for Folders {
    async fn open(&self, address: &TableAddress, _: Extent) -> Result<OpenedTable, OpenError> {
        let table: TableRef = address.path.parse().unwrap();
        let folder = Path::from(format!("secret/place/{}", table.table));
        let store = InMemory::new();
        for (file, rows) in [("a.csv", "n\n1\n2\n"), ("b.csv", "n\n3\n")] {
            store.put(&folder.clone().join(file), rows.into()).await.unwrap();
        }
        let scanned = if table.table.as_str() == "thief" { "secret/place/first".into() } else { folder.clone() };
        let url = ListingTableUrl::parse(format!("memory://lake/{scanned}/")).unwrap();
        let options = ListingOptions::new(Arc::new(CsvFormat::default())).with_file_extension(".csv");
        let config = ListingTableConfig::new(url)
            .with_listing_options(options)
            .with_schema(Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])));
        Ok(OpenedTable {
            provider: Arc::new(ListingTable::try_new(config).unwrap()),
            version: 0,
            store_url: "memory://lake/whatever".parse().unwrap(),
            root_store: match table.table.as_str() {
                "down" => Arc::new(FailingStore { files: store, missing: false }),
                "missing" => Arc::new(FailingStore { files: store, missing: true }),
                _ => Arc::new(store),
            },
            folder,
        })
    }
}

fn queries() -> TestQueries {
    let service = QueryService::in_process(QuerySettings::default(), Arc::new(Folders), Arc::new(Folders)).unwrap();
    TestQueries { service, caller: Caller::unrestricted("ann") }
}

#[tokio::test]
async fn tables_of_one_host_are_read_each_through_its_own_store() {
    let sql = "SELECT sum(a.n) AS x FROM shop.first AS a JOIN shop.second AS b ON a.n = b.n".into();
    let request = QueryRequest { sql, ..QueryRequest::default() };
    let answer = queries().run(request, OutputFormat::Json).await.unwrap();
    assert_eq!(answer.text(), "[{\"x\":6}]");
    assert_eq!(answer.stats.files_scanned, 4);
}

#[tokio::test]
async fn a_table_that_names_files_of_another_is_not_read_and_names_no_place() {
    let error = queries().failure("SELECT n FROM shop.thief").await;
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(matches!(error, QueryError::Execution(_)));
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn a_store_that_is_down_is_told_from_a_file_that_is_missing() {
    let error = queries().failure("SELECT n FROM shop.down").await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "storage-unavailable"), "{error:?}");
    assert!(!error.to_string().contains("refused"), "{error}");
    let error = queries().failure("SELECT n FROM shop.missing").await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Internal, "query-failed"), "{error:?}");
}

#[tokio::test]
async fn a_plan_names_tables_and_not_their_places() {
    for sql in ["EXPLAIN SELECT n FROM shop.first", "EXPLAIN ANALYZE SELECT n FROM shop.first"] {
        let plan = queries().json(sql).await.unwrap();
        assert!(plan.contains("shop.first/a.csv"), "{plan}");
        assert!(!plan.contains("secret"), "{plan}");
    }
}
