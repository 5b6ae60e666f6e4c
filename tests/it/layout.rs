//! How files are laid out: derived partitions, sorted rows, bloom filters, statistics, and row groups.

use std::{fs::File, path::PathBuf};

use parquet::file::{
    metadata::ParquetMetaData,
    properties::ReaderProperties,
    reader::{FileReader as _, SerializedFileReader},
    serialized_reader::ReadOptionsBuilder,
};
use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

/// The paths and statistics of the files that a version adds.
async fn added(lake: &TestLake, table: &str, version: u64) -> Vec<(String, Value)> {
    let actions = lake.log(table, version).await;
    let adds = actions.iter().filter_map(|action| action.get("add"));
    let stats = |add: &Value| serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    adds.map(|add| (add["path"].as_str().unwrap().to_owned(), stats(add))).collect()
}

/// A table's folder.
async fn folder(lake: &TestLake, table: &str) -> PathBuf {
    let location = lake.describe(table).await["location"].as_str().unwrap().to_owned();
    PathBuf::from(location.strip_prefix("file://").unwrap())
}

async fn footer(lake: &TestLake, table: &str, path: &str) -> ParquetMetaData {
    let file = File::open(folder(lake, table).await.join(path)).unwrap();
    SerializedFileReader::new(file).unwrap().metadata().clone()
}

fn detail(problem: &Value) -> &str {
    problem["detail"].as_str().unwrap()
}

#[tokio::test]
async fn parts_of_a_date_become_partitions_of_this_and_later_uploads() {
    let lake = TestLake::open().await;
    let query = "?format=csv&partition_by=year(order_date),month(order_date)";
    let receipt = lake.upload("a.t", query, "id,order_date\n1,2024-01-05\n2,2024-12-01\n3,\n").await.expect(201);
    assert_eq!(receipt["rows_committed"], 3);
    lake.upload("a.t", "?format=csv", "order_date,id\n2025-02-03,4\n").await.expect(201);
    lake.upload("a.t", "?format=csv&partition_by=year,month", "order_date,id,year\n2025-02-03,5,2025\n")
        .await
        .expect(201);
    let rows = lake.rows("SELECT id, year, month FROM a.t ORDER BY id").await;
    let row = |id: u64, year: u64, month: u64| json!({"id": id, "year": year, "month": month});
    assert_eq!(rows[..2], [row(1, 2024, 1), row(2, 2024, 12)]);
    assert_eq!((&rows[2]["year"], &rows[2]["month"]), (&Value::Null, &Value::Null));
    assert_eq!(rows[3..], [row(4, 2025, 2), row(5, 2025, 2)]);
    let table = lake.describe("a.t").await;
    assert_eq!(table["layout"], json!({"derived": ["year(order_date)", "month(order_date)"]}));
    assert_eq!(table["partition_by"], json!(["year", "month"]));
    let types: Vec<_> = table["columns"].as_array().unwrap().iter().map(|column| &column["delta_type"]).collect();
    assert_eq!(types, ["long", "date", "integer", "integer"]);
    let folders: Vec<String> = added(&lake, "a.t", 0).await.into_iter().map(|(path, _)| path).collect();
    assert!(folders.iter().any(|path| path.starts_with("year=2024/month=1/")), "{folders:?}");
}

#[tokio::test]
async fn moments_count_in_utc_and_may_be_called_otherwise() {
    let lake = TestLake::open().await;
    let body = "{\"ts\":\"2024-01-01T00:30:00+02:00\"}\n";
    lake.upload("a.t", "?format=ndjson&partition_by=date(ts),hour(ts)%20as%20h", body).await.expect(201);
    let rows = lake.rows("SELECT date, h FROM a.t").await;
    assert_eq!(rows, [json!({"date": "2023-12-31", "h": 22})]);
}

#[tokio::test]
async fn a_column_called_date_gives_the_parts_that_are_asked_for_by_name() {
    let lake = TestLake::open().await;
    let body = "id,date\n1,2024-01-05\n2,2024-12-01\n";
    lake.upload("a.t", "?format=csv&partition_by=year,month,day", body).await.expect(201);
    let rows = lake.rows("SELECT year, month, day, date FROM a.t WHERE month = 1").await;
    assert_eq!(rows, [json!({"year": 2024, "month": 1, "day": 5, "date": "2024-01-05"})]);
}

#[rstest]
#[case("partition_by=year(d)", "d,year\n2024-01-01,7\n", 422, "bad-partitioning", "year(d)")]
#[case("partition_by=year(gone)", "d\n2024-01-01\n", 422, "bad-partitioning", "no such column")]
#[case("partition_by=hour(d)", "d\n2024-01-01\n", 422, "bad-partitioning", "no hour")]
#[case("partition_by=year(d)", "d\nsoon\n", 422, "bad-partitioning", "neither dates nor timestamps")]
#[case("partition_by=decade(d)", "d\n2024-01-01\n", 400, "bad-parameter", "decade")]
#[case("partition_by=year", "d\n2024-01-01\n", 422, "bad-partitioning", "year")]
#[case("sort_by=gone", "d\n2024-01-01\n", 422, "unknown-column", "gone")]
#[case("bloom_filter=d&partition_by=d", "d,x\n2024-01-01,1\n", 422, "bad-property", "bloom_filter")]
#[case("row_group_rows=1", "d\n2024-01-01\n", 400, "bad-parameter", "row_group_rows")]
#[case("table_format=iceberg", "d\n2024-01-01\n", 400, "bad-parameter", "iceberg")]
#[tokio::test]
async fn a_layout_that_cannot_be_is_refused_by_name(
    #[case] query: &str,
    #[case] body: &'static str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] named: &str,
) {
    let lake = TestLake::open().await;
    let problem = assert_problem(&lake.upload("a.t", &format!("?format=csv&{query}"), body).await, status, code);
    assert!(detail(&problem).contains(named), "{problem}");
    lake.get("/api/v1/tables/a/t").await.expect_status(404);
}

#[tokio::test]
async fn a_derived_column_that_an_upload_brings_must_be_right() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&partition_by=year(d)", "d\n2024-01-01\n").await.expect(201);
    let answer = lake.upload("a.t", "?format=csv", "d,year\n2024-01-01,2024\n2025-01-01,2024\n").await;
    let problem = assert_problem(&answer, 422, "type-mismatch");
    assert!(detail(&problem).contains("row 2") && detail(&problem).contains("year(d), which is 2025"), "{problem}");
    assert_eq!(lake.count("a.t").await, 1);
}

#[tokio::test]
async fn a_table_keeps_its_layout() {
    let lake = TestLake::open().await;
    let asked = "?format=csv&partition_by=p&sort_by=b,a&bloom_filter=a&target_file_bytes=65536&row_group_rows=100";
    let body = |from: u64| {
        let rows = (from..from + 1000).map(|at| format!("{},{},{}\n", at % 2, (at * 7919) % 1000, at % 10));
        format!("p,a,b\n{}", rows.collect::<String>())
    };
    lake.upload("a.t", asked, body(0)).await.expect(201);
    lake.upload("a.t", "?format=csv", body(5000)).await.expect(201);
    let layout = json!({
        "sort_by": ["b", "a"], "bloom_filter": ["a"], "target_file_bytes": 65536, "row_group_rows": 100,
    });
    assert_eq!(lake.describe("a.t").await["layout"], layout);
    let answer = lake.upload("a.t", "?format=csv&sort_by=a", body(0)).await;
    assert_problem(&answer, 422, "other-layout");
    assert_problem(&lake.upload("a.t", "?format=csv&table_format=parquet", body(0)).await, 422, "other-layout");
    for version in 0..2 {
        let files = added(&lake, "a.t", version).await;
        assert_eq!(files.len(), 2);
        for (path, _) in files {
            let metadata = footer(&lake, "a.t", &path).await;
            assert_eq!(metadata.num_row_groups(), 5, "{path}");
            let sorted = metadata.row_group(0).sorting_columns().unwrap();
            let order = sorted.iter().map(|column| (column.column_idx, column.descending, column.nulls_first));
            assert_eq!(order.collect::<Vec<_>>(), [(1, false, false), (0, false, false)]);
            assert_sorted(&folder(&lake, "a.t").await.join(&path));
            for (column, has_filter) in metadata.row_group(0).columns().iter().zip([true, false]) {
                assert_eq!(column.bloom_filter_offset().is_some(), has_filter);
            }
        }
    }
    assert_eq!(lake.count("a.t").await, 2000);
}

/// The rows of a file lie in the order of `b`, then `a`.
fn assert_sorted(path: &std::path::Path) {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows: Vec<(i64, i64)> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            use parquet::record::RowAccessor as _;
            let row = row.unwrap();
            (row.get_long(1).unwrap(), row.get_long(0).unwrap())
        })
        .collect();
    assert!(rows.is_sorted() && rows.len() == 500, "{path:?} is not sorted");
}

#[tokio::test]
async fn a_bloom_filter_knows_what_is_there_and_most_of_what_is_not() {
    let lake = TestLake::open().await;
    let rows: String = (0..5000).map(|at| format!("key-{at}\n")).collect();
    lake.upload("a.t", "?format=csv&bloom_filter=k", format!("k\n{rows}")).await.expect(201);
    let (path, _) = added(&lake, "a.t", 0).await.remove(0);
    let file = File::open(folder(&lake, "a.t").await.join(path)).unwrap();
    let options = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(options).build();
    let reader = SerializedFileReader::new_with_options(file, options).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let filter = group.get_column_bloom_filter(0).unwrap();
    assert!((0..5000).all(|at| filter.check(&format!("key-{at}").as_str())));
    let wrong = (0..5000).filter(|at| filter.check(&format!("other-{at}").as_str())).count();
    assert!(wrong < 250, "{wrong} of 5000");
    assert_eq!(lake.rows("SELECT count(*) AS n FROM a.t WHERE k = 'key-77'").await, [json!({"n": 1})]);
}

#[tokio::test]
async fn statistics_reach_into_objects_and_leave_out_what_helps_nobody() {
    let lake = TestLake::open().await;
    let long = "z".repeat(1000);
    let body = format!(
        "{}\n{}\n",
        json!({"s": {"a": 1, "t": {"b": "x"}}, "l": [1, 2], "long": long, "n": null, "flag": true}),
        json!({"s": {"a": 5, "t": {"b": "y"}}, "l": [3], "long": "a", "n": 1, "flag": false}),
    );
    lake.upload("a.t", "?format=ndjson", body.clone()).await.expect(201);
    let (_, stats) = added(&lake, "a.t", 0).await.remove(0);
    assert_eq!(stats["minValues"]["s"], json!({"a": 1, "t": {"b": "x"}}), "{stats}");
    assert_eq!(stats["maxValues"]["s"], json!({"a": 5, "t": {"b": "y"}}), "{stats}");
    assert_eq!(stats["nullCount"]["n"], 1, "{stats}");
    let longest = stats["maxValues"]["long"].as_str().unwrap();
    assert!(longest.len() <= 64 && longest > long.as_str(), "{stats}");
    for of in ["minValues", "maxValues", "nullCount"] {
        assert!(stats[of].get("l").is_none(), "{stats}");
    }
    lake.upload("a.u", "?format=ndjson&stats_columns=n,s", body).await.expect(201);
    let (_, stats) = added(&lake, "a.u", 0).await.remove(0);
    assert_eq!(stats["minValues"], json!({"n": 1, "s": {"a": 1, "t": {"b": "x"}}}), "{stats}");
    let metadata = lake.log("a.u", 0).await.into_iter().find_map(|action| action.get("metaData").cloned()).unwrap();
    assert_eq!(metadata["configuration"]["delta.dataSkippingStatsColumns"], "n,s");
}
