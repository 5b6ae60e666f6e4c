//! A lake of tables in memory.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Decimal128Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder},
    datatypes::DataType,
};
use async_trait::async_trait;
use datafusion::datasource::MemTable;
use object_store::memory::InMemory;
use sluice_domain::{AccessError, Action, Caller, ErrorKind, Failure, Resource, TableId, TableRef, ZoneName};
use uuid::Uuid;

use crate::{
    Extent, OpenError, OpenedTable, OutputFormat, QueryError, QueryRequest, QueryRun, QueryService, QuerySettings,
    QueryStats, RowWriter, TableAddress, TableOpener, TableResolver, ViewText,
};

/// Tables by name and version.
pub(super) struct TestLake(BTreeMap<(TableRef, u64), RecordBatch>);

#[derive(Debug, thiserror::Error)]
#[error("no such table or version")]
struct NoTable;

impl Failure for NoTable {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NotFound
    }

    fn code(&self) -> &str {
        "no-such-table"
    }
}

/// The address of a table is its name.
pub(super) fn address_of(table: &TableRef) -> TableAddress {
    TableAddress { id: TableId(Uuid::nil()), zone: ZoneName::Curated, path: table.to_string(), plain: None }
}

#[async_trait]
impl TableResolver for TestLake {
    async fn resolve(&self, caller: &Caller, table: &TableRef) -> Result<TableAddress, OpenError> {
        caller.require(Action::Read, &Resource::Table(table.clone())).map_err(|error| match error {
            AccessError::Invisible => OpenError::new(NoTable),
            forbidden => OpenError::new(forbidden),
        })?;
        match self.0.keys().any(|(name, _)| name == table) {
            true => Ok(address_of(table)),
            false => Err(OpenError::new(NoTable)),
        }
    }

    /// `v.paid` shows the big sales, and reads what `ann` of the shop may; `v.pay` shows the salaries of those that it
    /// may, too; `v.deep0` to `v.deep9` each read the next, the last `shop.sales`; `v.broken` reads a column that is
    /// gone.
    async fn view(&self, caller: &Caller, name: &TableRef) -> Result<Option<ViewText>, OpenError> {
        if caller.require(Action::Read, &Resource::Table(name.clone())).is_err() {
            return Ok(None);
        }
        let sql = match name.to_string().as_str() {
            "v.paid" => "SELECT id, amount AS paid FROM Shop.sales WHERE amount > 0".to_owned(),
            "v.twice" => "SELECT p.id, p.paid * 2 AS twice FROM v.paid AS p JOIN v.paid AS q USING (id)".to_owned(),
            "v.pay" => "SELECT count(*) AS people FROM hr.salaries".to_owned(),
            "w.heads" => "SELECT count(*) AS people FROM hr.salaries".to_owned(),
            "v.above" => "SELECT people FROM w.heads".to_owned(),
            "v.broken" => "SELECT gone FROM shop.sales".to_owned(),
            "v.deep9" => "SELECT id FROM shop.sales".to_owned(),
            deep => match deep.strip_prefix("v.deep").and_then(|number| number.parse::<u8>().ok()) {
                Some(number) => format!("SELECT id FROM v.deep{}", number + 1),
                None => return Ok(None),
            },
        };
        let namespaces = ["shop", "hr", "v", "w"].map(|namespace| namespace.parse().unwrap()).to_vec();
        let reader = Caller { name: "ann".into(), actions: vec![Action::Read], namespaces: Some(namespaces) };
        Ok(Some(ViewText { sql, reader }))
    }
}

#[async_trait]
impl TableOpener for TestLake {
    async fn open(&self, address: &TableAddress, extent: Extent) -> Result<OpenedTable, OpenError> {
        let mut versions = self.0.iter().filter(|((name, _), _)| name.to_string() == address.path);
        let ((table, version), rows) = match extent.version {
            Some(wanted) => versions.find(|((_, version), _)| *version == wanted),
            None => versions.next_back(),
        }
        .ok_or_else(|| OpenError::new(NoTable))?;
        let known = extent.since.map_or(0, |since| self.0[&(table.clone(), since)].num_rows());
        let rows = rows.slice(known, rows.num_rows() - known);
        Ok(OpenedTable {
            provider: Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap()),
            version: *version,
            store_url: "memory://lake/".parse().unwrap(),
            root_store: Arc::new(InMemory::new()),
            folder: format!("curated/{table}").into(),
        })
    }
}

fn decimals(values: Vec<Option<i128>>) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_data_type(DataType::Decimal128(38, 2)))
}

/// `shop.orders` at versions 1 and 2 (three rows, then four), `shop.numbers` (20,000 rows), `hr.salaries`,
/// `shop.sales` and `shop.customers`.
pub(super) fn lake() -> TestLake {
    let orders = |count: usize| {
        let ids = [1, 9_007_199_254_740_993, i64::MIN, 4];
        let names = [Some("ann"), None, Some("b\"ö,\n"), Some("dan")];
        let prices = [Some(12_345_678_901_234_567_890_123_456_789_i128), Some(-5), None, Some(100)];
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from(ids[..count].to_vec())) as ArrayRef, false),
            ("name", Arc::new(StringArray::from(names[..count].to_vec())) as ArrayRef, true),
            ("price", decimals(prices[..count].to_vec()), true),
        ])
        .unwrap()
    };
    let numbers = Arc::new(Int64Array::from_iter_values(0..20_000)) as ArrayRef;
    let numbers = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
    let tables = [
        ("shop.orders", 1, orders(3)),
        ("shop.orders", 2, orders(4)),
        ("shop.numbers", 7, numbers.clone()),
        ("hr.salaries", 1, numbers),
        ("shop.sales", 4, sales()),
        ("shop.customers", 5, customers()),
    ];
    TestLake(tables.into_iter().map(|(name, version, rows)| ((name.parse().unwrap(), version), rows)).collect())
}

fn sales() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    [Some([Some("new")]), None].into_iter().for_each(|row| tags.append_option(row));
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef),
        ("customer", Arc::new(Int64Array::from(vec![1, 1]))),
        ("amount", Arc::new(Int64Array::from(vec![10, -5]))),
        ("day", Arc::new(StringArray::from(vec!["mon", "tue"]))),
        ("tags", Arc::new(tags.finish())),
    ])
    .unwrap()
}

fn customers() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("name", Arc::new(StringArray::from(vec!["ann"]))),
        ("region", Arc::new(StringArray::from(vec!["north"]))),
    ])
    .unwrap()
}

/// A service over [`lake`] with a caller's view of it.
pub(super) struct TestQueries {
    pub(super) service: QueryService,
    pub(super) caller: Caller,
}

impl TestQueries {
    pub(super) fn new() -> Self {
        Self::with(QuerySettings::default())
    }

    pub(super) fn with(settings: QuerySettings) -> Self {
        let lake = Arc::new(lake());
        let service = QueryService::in_process(settings, Arc::clone(&lake) as Arc<dyn TableResolver>, lake).unwrap();
        Self { service, caller: Caller::unrestricted("ann") }
    }

    pub(super) async fn start(&self, sql: &str) -> Result<QueryRun, QueryError> {
        self.service.run(&self.caller, QueryRequest { sql: sql.into(), ..QueryRequest::default() }).await
    }

    /// Run a query to its end.
    pub(super) async fn run(&self, request: QueryRequest, format: OutputFormat) -> Result<Answer, QueryError> {
        let mut run = self.service.run(&self.caller, request).await?;
        let mut writer = RowWriter::new(format, &run.schema())?;
        let mut bytes = Vec::new();
        while let Some(batch) = run.next_batch().await? {
            bytes.extend(writer.write(&batch)?);
        }
        bytes.extend(writer.finish()?);
        Ok(Answer { bytes, tables: run.tables.clone(), stats: run.finish() })
    }

    /// Run a query to its end, as JSON.
    pub(super) async fn json(&self, sql: &str) -> Result<String, QueryError> {
        let request = QueryRequest { sql: sql.into(), ..QueryRequest::default() };
        Ok(self.run(request, OutputFormat::Json).await?.text())
    }

    /// The failure of a query that must fail.
    pub(super) async fn failure(&self, sql: &str) -> QueryError {
        match self.json(sql).await {
            Err(error) => error,
            Ok(rows) => panic!("{:.200} answered {rows:.200}", sql),
        }
    }
}

pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) tables: Vec<(TableRef, u64)>,
    pub(super) stats: QueryStats,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}
