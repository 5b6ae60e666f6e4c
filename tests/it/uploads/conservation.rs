//! The law of every receipt: what came in is committed, quarantined, deduplicated or rejected, and each part is where
//! the receipt says, whatever the format, however good and bad rows are mixed.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use axum::http::Method;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};
use sluice_domain::Format;
use sluice_tests::{TestLake, binary_file, table_path, zip_file};

/// The least measure that the contract of the table takes.
const LEAST: i64 = 0;

/// One record of a random file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Row {
    /// Nothing is wrong with it.
    Good { id: i64, measure: i64 },
    /// Its measure is below the least.
    Rule { id: i64 },
    /// Its measure is none that the column holds.
    Misfit { id: i64 },
    /// It is no record at all; of binary formats the same as a misfit.
    Broken,
}

#[derive(Debug, Clone)]
struct Sent {
    rows: Vec<Row>,
    format: Format,
    /// Whether rows of one id are one, here and in the table.
    dedups: bool,
}

fn any_row() -> impl Strategy<Value = Row> {
    let id = 0..40_i64;
    prop_oneof![
        8 => (id.clone(), 0..9_i64).prop_map(|(id, measure)| Row::Good { id, measure }),
        1 => id.clone().prop_map(|id| Row::Rule { id }),
        1 => id.prop_map(|id| Row::Misfit { id }),
        1 => Just(Row::Broken),
    ]
}

fn any_upload() -> impl Strategy<Value = Sent> {
    use Format as F;
    let format = prop::sample::select(vec![F::Csv, F::Ndjson, F::Json, F::Parquet, F::Arrow, F::Avro, F::Zip]);
    (prop::collection::vec(any_row(), 1..25), format, prop::bool::weighted(0.3))
        .prop_map(|(rows, format, dedups)| Sent { rows, format, dedups })
}

impl Row {
    fn csv(self) -> String {
        match self {
            Self::Good { id, measure } => format!("{id},{measure}\n"),
            Self::Rule { id } => format!("{id},{}\n", LEAST - 1),
            Self::Misfit { id } => format!("{id},0.5\n"),
            Self::Broken => "1,2,3\n".to_owned(),
        }
    }

    fn json(self) -> String {
        match self {
            Self::Good { id, measure } => format!("{{\"id\": {id}, \"measure\": {measure}}}"),
            Self::Rule { id } => format!("{{\"measure\": {}, \"id\": {id}}}", LEAST - 1),
            Self::Misfit { id } => format!("{{\"id\": {id}, \"measure\": 0.5}}"),
            Self::Broken => "7".to_owned(),
        }
    }

    /// Its cells in a file whose measures have more bits than the table's.
    fn cells(self) -> (i64, i64) {
        match self {
            Self::Good { id, measure } => (id, measure),
            Self::Rule { id } => (id, LEAST - 1),
            Self::Misfit { id } => (id, 1 << 40),
            Self::Broken => (1, i64::MIN),
        }
    }

    fn good_id(self) -> Option<i64> {
        match self {
            Self::Good { id, .. } => Some(id),
            _ => None,
        }
    }
}

impl Sent {
    fn file(&self) -> Vec<u8> {
        let csv = || "id,measure\n".to_owned() + &self.rows.iter().map(|row| row.csv()).collect::<String>();
        let json: Vec<String> = self.rows.iter().map(|row| row.json()).collect();
        match self.format {
            Format::Csv => csv().into_bytes(),
            Format::Zip => zip_file("rows.csv", csv().as_bytes()),
            Format::Ndjson => (json.join("\n") + "\n").into_bytes(),
            Format::Json => format!("[{}]", json.join(",\n")).into_bytes(),
            binary => {
                let (ids, measures): (Vec<i64>, Vec<i64>) = self.rows.iter().map(|row| row.cells()).unzip();
                let field = |name: &str, data_type| Field::new(name, data_type, true);
                let schema = Schema::new(vec![field("id", DataType::Int64), field("measure", DataType::Int64)]);
                let columns = vec![Arc::new(Int64Array::from(ids)) as _, Arc::new(Int64Array::from(measures)) as _];
                binary_file(binary, &[RecordBatch::try_new(Arc::new(schema), columns).unwrap()])
            }
        }
    }

    fn query(&self) -> String {
        let dedup = if self.dedups { "&dedup_keys=id" } else { "" };
        format!("?format={}{dedup}", self.format)
    }
}

/// What the receipts so far say.
#[derive(Default)]
struct Told {
    committed: u64,
    quarantined: u64,
    ids: HashSet<i64>,
}

impl Told {
    /// The counts that a receipt of this upload must have: committed, quarantined, deduplicated.
    fn expect(&mut self, sent: &Sent) -> [u64; 3] {
        let good: Vec<i64> = sent.rows.iter().filter_map(|row| row.good_id()).collect();
        let quarantined = (sent.rows.len() - good.len()) as u64;
        let all = good.len() as u64;
        let new = good.into_iter().filter(|id| self.ids.insert(*id)).count() as u64;
        let committed = if sent.dedups { new } else { all };
        self.committed += committed;
        self.quarantined += quarantined;
        [committed, quarantined, all - committed]
    }
}

async fn open() -> TestLake {
    let lake = TestLake::open().await;
    let columns = json!([{"name": "id", "type": "long"}, {"name": "measure", "type": "integer"}]);
    let declared = lake.call(Method::PUT, &format!("{}/schema", table_path("a.t"))).json(&json!({"columns": columns}));
    declared.send().await.expect_status(201);
    let rule = json!({"name": "least", "column": "measure", "check": {"minimum": LEAST}});
    let contract = lake
        .call(Method::PUT, &format!("{}/contract", table_path("a.t")))
        .json(&json!({"types": "quarantine_rows", "rules": [rule]}));
    contract.send().await.expect_status(200);
    lake
}

async fn check(lake: &TestLake, sent: &Sent, told: &mut Told) -> Result<(), TestCaseError> {
    let answer = lake.upload("a.t", &sent.query(), sent.file()).await;
    if sent.rows.iter().all(|row| row.good_id().is_none()) {
        prop_assert!(answer.status.is_client_error(), "{}", answer.text());
        prop_assert!(answer.json()["upload_id"].is_string());
        return Ok(());
    }
    prop_assert_eq!(answer.status.as_u16(), 201, "{}", answer.text());
    let receipt = answer.json();
    let count = |name: &str| receipt[name].as_u64().unwrap_or(u64::MAX);
    let parts = ["rows_committed", "rows_quarantined", "rows_deduplicated"].map(count);
    prop_assert_eq!(parts, told.expect(sent), "{}", receipt);
    prop_assert_eq!(count("rows_received"), sent.rows.len() as u64);
    prop_assert_eq!(count("rows_rejected"), 0);
    let of_upload = format!(
        "SELECT row_number FROM a.t__quarantine WHERE upload_id = '{}' ORDER BY 1",
        receipt["upload_id"].as_str().unwrap_or_default()
    );
    if parts[1] > 0 {
        let numbers: Vec<Value> =
            lake.rows(&of_upload).await.into_iter().map(|row| row["row_number"].clone()).collect();
        let bad = sent.rows.iter().enumerate().filter(|(_, row)| row.good_id().is_none());
        let expected: Vec<Value> = bad.map(|(at, _)| json!(at + 1)).collect();
        prop_assert_eq!(numbers, expected);
    }
    Ok(())
}

#[test]
fn every_row_of_every_format_is_where_the_receipt_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let lake = runtime.block_on(open());
    let told = Mutex::new(Told::default());
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, max_shrink_iters: 0, ..ProptestConfig::default() });
    let outcome = runner.run(&any_upload(), |sent| runtime.block_on(check(&lake, &sent, &mut told.lock().unwrap())));
    outcome.unwrap();
    let told = told.into_inner().unwrap();
    assert!(told.quarantined > 0 && told.committed > told.quarantined);
    let (rows, set_aside) = runtime.block_on(async { (lake.count("a.t").await, lake.count("a.t__quarantine").await) });
    assert_eq!((rows, set_aside), (told.committed, told.quarantined));
}
