//! Tables of Parquet files without a log.

mod quality;
mod recovery;

use std::{fs, path::Path, path::PathBuf};

use rstest::rstest;
use serde_json::{Value, json};
use sluice_tests::{TestLake, assert_problem};

const SALES: &str = "id,date\n1,2024-01-05\n2,2024-01-05\n3,2024-01-15\n4,2024-12-01\n";
const BY_DAY: &str = "?format=csv&table_format=parquet&partition_by=year,month,day";

/// The files below the folder of plain tables, sorted.
fn files(lake: &TestLake) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let root = lake.data_dir().join("raw");
    let (folder, mut found) = (root.join("data-lake"), Vec::new());
    if folder.exists() {
        walk(&folder, &mut found);
    }
    let below = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = found.iter().map(below).collect();
    names.sort();
    names
}

/// A name without what tells the moment, which must look as it should.
fn without_moment(name: &str) -> String {
    let (folder, file) = name.rsplit_once('/').unwrap();
    let digits: String =
        file.chars().map(|character| if character.is_ascii_digit() { '9' } else { character }).collect();
    assert_eq!(digits, "data_99999999_999999_999999.parquet");
    folder.to_owned()
}

#[tokio::test]
async fn a_plain_table_has_the_folders_of_its_partitions_and_nothing_else() {
    let lake = TestLake::open().await;
    let receipt = lake.upload("shop.sales", BY_DAY, SALES).await.expect(201);
    assert_eq!((&receipt["version"], &receipt["rows_committed"]), (&json!(0), &json!(4)));
    let folders: Vec<String> = files(&lake).iter().map(|name| without_moment(name)).collect();
    let expected = ["month=1/day=15", "month=1/day=5", "month=12/day=1"];
    assert_eq!(folders, expected.map(|folder| format!("data-lake/sales/year=2024/{folder}")));
    let rows = lake.rows("SELECT id FROM shop.sales WHERE year = 2024 AND month = 1 ORDER BY id").await;
    assert_eq!(rows, [json!({"id": 1}), json!({"id": 2}), json!({"id": 3})]);
    assert!(lake.rows("SELECT id FROM shop.sales WHERE month = 7").await.is_empty());
}

#[tokio::test]
async fn a_missing_partition_value_is_kept_and_read_as_missing() {
    let lake = TestLake::open().await;
    lake.upload("shop.sales", BY_DAY, format!("{SALES}5,\n")).await.expect(201);
    let missing = "year=__HIVE_DEFAULT_PARTITION__/month=__HIVE_DEFAULT_PARTITION__/day=__HIVE_DEFAULT_PARTITION__";
    assert!(files(&lake).iter().any(|name| name.contains(missing)), "{:?}", files(&lake));
    assert_eq!(lake.rows("SELECT id FROM shop.sales WHERE year IS NULL").await, [json!({"id": 5})]);
    assert_eq!(lake.count("shop.sales").await, 5);
}

#[tokio::test]
async fn only_files_that_may_hold_an_answer_are_read() {
    let lake = TestLake::open().await;
    lake.upload("shop.sales", BY_DAY, SALES).await.expect(201);
    let cases = [
        ("month = 1", 2),
        ("month = 12", 1),
        ("month BETWEEN 2 AND 11", 0),
        ("year * 100 + month = 202401 AND day > 5", 1),
        ("year IS NULL", 0),
        ("id = 4", 3),
    ];
    for (condition, files) in cases {
        let answer = lake.sql(&format!("SELECT * FROM shop.sales WHERE {condition}")).await.expect(200);
        assert_eq!(answer["files_scanned"], files, "{condition}: {answer}");
    }
}

#[tokio::test]
async fn a_plain_table_is_described_listed_and_previewed() {
    let lake = TestLake::open().await;
    lake.upload("shop.sales", BY_DAY, SALES).await.expect(201);
    lake.upload("shop.sales", "?format=csv", "date,id\n2025-03-04,6\n").await.expect(201);
    let table = lake.describe("shop.sales").await;
    for (field, expected) in
        [("format", json!("parquet")), ("version", json!(1)), ("rows", json!(5)), ("files", json!(4))]
    {
        assert_eq!(table[field], expected, "{table}");
    }
    assert!(table["location"].as_str().unwrap().ends_with("/raw/data-lake/sales/"), "{table}");
    assert!(table.get("min_reader_version").is_none(), "{table}");
    let columns: Vec<_> = table["columns"].as_array().unwrap().iter().collect();
    let names: Vec<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
    let types: Vec<_> = columns.iter().map(|column| column["delta_type"].as_str().unwrap()).collect();
    assert_eq!(names, ["id", "date", "year", "month", "day"]);
    assert_eq!(types, ["long", "date", "long", "long", "long"]);
    let versions = lake.get("/api/v1/tables/shop/sales/versions").await.expect(200);
    let added: Vec<_> = versions["items"].as_array().unwrap().iter().map(|version| &version["rows_added"]).collect();
    assert_eq!(added, [1, 4]);
    let preview = lake.get("/api/v1/tables/shop/sales/preview?limit=2").await.expect(200);
    assert_eq!(preview["rows"].as_array().unwrap().len(), 2, "{preview}");
    let tables = lake.get("/api/v1/tables").await.expect(200);
    assert_eq!(tables["items"][0]["format"], "parquet");
    let schemas = lake.get("/api/v1/tables/shop/sales/schema/history").await.expect(200);
    assert_eq!(schemas["items"].as_array().unwrap().len(), 1, "{schemas}");
}

#[tokio::test]
async fn an_earlier_version_can_be_read() {
    let lake = TestLake::open().await;
    lake.upload("shop.sales", BY_DAY, SALES).await.expect(201);
    lake.upload("shop.sales", "?format=csv", "date,id\n2025-03-04,6\n").await.expect(201);
    let count = async |version: u64| {
        let body = json!({"sql": "SELECT count(*) AS n FROM shop.sales", "versions": {"shop.sales": version}});
        lake.call(axum::http::Method::POST, "/api/v1/queries").json(&body).send().await
    };
    assert_eq!(count(0).await.expect(200)["rows"], json!([{"n": 4}]));
    assert_eq!(count(1).await.expect(200)["rows"], json!([{"n": 5}]));
    assert_problem(&count(2).await, 404, "version-not-found");
}

#[rstest]
#[case("01", json!(1))]
#[case("1.5", json!(1.5))]
#[case("1.2.3", json!("1.2.3"))]
#[case("2024-01-01", json!("2024-01-01"))]
#[case("a=b", json!("a=b"))]
#[case("x/y z%2F", json!("x/y z%2F"))]
#[case("Zürich 日本", json!("Zürich 日本"))]
#[case("..", json!(".."))]
#[tokio::test]
async fn a_value_is_read_from_the_folder_by_its_looks(#[case] text: &str, #[case] expected: Value) {
    let lake = TestLake::open().await;
    let body = format!("{}\n", json!({"p": text, "v": 1}));
    lake.upload("a.t", "?format=ndjson&table_format=parquet&partition_by=p", body).await.expect(201);
    assert_eq!(lake.rows("SELECT p, v FROM a.t").await, [json!({"p": expected, "v": 1})]);
}

#[tokio::test]
async fn a_table_without_partitions_is_one_folder() {
    let lake = TestLake::open().await;
    for _ in 0..3 {
        lake.upload("a.t", "?format=csv&table_format=parquet", "a\n1\n").await.expect(201);
    }
    let names = files(&lake);
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| without_moment(name) == "data-lake/t"), "{names:?}");
    assert_eq!(lake.rows("SELECT sum(a) AS s FROM a.t").await, [json!({"s": 3})]);
}

#[tokio::test]
async fn what_the_catalog_does_not_know_is_not_read() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&table_format=parquet", "a\n1\n").await.expect(201);
    let known = lake.data_dir().join("raw").join(&files(&lake)[0]);
    fs::copy(&known, known.with_file_name("data_20000101_000000_000000.parquet")).unwrap();
    assert_eq!(lake.count("a.t").await, 1);
    assert_eq!(lake.describe("a.t").await["files"], 1);
}

#[tokio::test]
async fn a_failed_upload_leaves_no_file() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&table_format=parquet", "a\n1\n").await.expect(201);
    lake.upload("a.t", "?format=csv", "a\nx\n").await.expect_status(422);
    assert_problem(&lake.upload("a.t", "?format=csv&table_format=delta", "a\n1\n").await, 422, "other-layout");
    assert_eq!(files(&lake).len(), 1);
}

#[tokio::test]
async fn a_value_that_a_folder_cannot_tell_is_refused() {
    let lake = TestLake::open().await;
    for value in ["x".repeat(300), "__HIVE_DEFAULT_PARTITION__".to_owned()] {
        let body = format!("p,v\n{value},1\n");
        let answer = lake.upload("a.t", "?format=csv&table_format=parquet&partition_by=p", body).await;
        assert_problem(&answer, 422, "bad-partitioning");
    }
    assert!(files(&lake).is_empty());
}

#[tokio::test]
async fn a_repeated_upload_is_committed_once_also_after_a_restart() {
    let lake = TestLake::open().await;
    let path = format!("/api/v1/tables/a/t/uploads{BY_DAY}");
    let first = lake.post(&path, &[("idempotency-key", "k1")], SALES).await.expect(201);
    let lake = lake.reopen().await;
    let again = lake.post(&path, &[("idempotency-key", "k1")], SALES).await.expect(201);
    assert_eq!(first, again);
    assert_eq!((lake.count("a.t").await, files(&lake).len()), (4, 3));
}

#[tokio::test]
async fn a_table_of_the_same_name_has_another_folder() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv&table_format=parquet", "a\n1\n").await.expect(201);
    lake.upload("b.t", "?format=csv&table_format=parquet", "a\n2\n").await.expect(201);
    lake.call(axum::http::Method::DELETE, "/api/v1/tables/a/t").send().await.expect_status(204);
    lake.upload("a.t", "?format=csv&table_format=parquet", "b\nx\n").await.expect(201);
    let mut folders: Vec<String> = files(&lake).iter().map(|name| without_moment(name)).collect();
    folders.sort();
    assert_eq!(folders, ["data-lake/t", "data-lake/t.2", "data-lake/t.3"]);
    assert_eq!(lake.rows("SELECT b FROM a.t").await, [json!({"b": "x"})]);
}

#[tokio::test]
async fn many_at_once_have_versions_and_names_of_their_own() {
    let lake = TestLake::open().await;
    let other = lake.open_another().await;
    let uploads = (0..24).map(|at| {
        let lake = if at % 2 == 0 { &lake } else { &other };
        lake.upload("a.t", "?format=csv&table_format=parquet&partition_by=p", format!("p,v\n1,{at}\n2,{at}\n"))
    });
    let answers = futures::future::join_all(uploads).await;
    let mut versions: Vec<u64> = answers.iter().map(|answer| answer.expect(201)["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, (0..24).collect::<Vec<_>>());
    for lake in [&lake, &other] {
        let rows = lake.rows("SELECT count(*) AS n, count(DISTINCT v) AS v FROM a.t").await;
        assert_eq!(rows, [json!({"n": 48, "v": 24})]);
    }
    let names: std::collections::HashSet<String> =
        files(&lake).iter().map(|name| name.rsplit_once('/').unwrap().1.to_owned()).collect();
    assert_eq!(names.len(), 48);
}
