//! Every format by every road becomes the same table, and its bytes are kept as they came.

use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Format;
use sluice_tests::{
    Answer, Encoding, SAMPLE_ROWS, TestLake, assert_problem, form_of, sample_file, sample_rows, sha256_of, uploads_path,
};

use super::assert_all_committed;

async fn send_raw(lake: &TestLake, format: Format, encoding: Encoding, file: &[u8]) -> Answer {
    let path = format!("{}?format={format}", uploads_path("a.t"));
    lake.post(&path, &[("content-encoding", encoding.names().0)], file.to_vec()).await
}

async fn send_form(lake: &TestLake, format: Format, encoding: Encoding, file: &[u8]) -> Answer {
    let (media_type, form) = form_of(&format!("rows.{format}{}", encoding.names().1), file);
    lake.post(&uploads_path("a.t"), &[("content-type", media_type)], form).await
}

/// Rows without their missing values, which may be absent or null.
fn without_nulls(mut rows: Vec<Value>) -> Vec<Value> {
    for fields in rows.iter_mut().filter_map(Value::as_object_mut) {
        fields.retain(|_, value| !value.is_null());
    }
    rows
}

async fn assert_table_is_the_sample(lake: &TestLake) {
    let table = lake.describe("a.t").await;
    let columns = table["columns"].as_array().unwrap();
    let types: Vec<_> = columns.iter().map(|column| column["delta_type"].as_str().unwrap()).collect();
    assert_eq!(types, ["long", "long", "double", "boolean", "date", "timestamp", "string"], "{table}");
    assert_eq!((&table["version"], &table["rows"]), (&json!(0), &json!(SAMPLE_ROWS)));
    let rows = lake.rows("SELECT * FROM a.t ORDER BY id").await;
    assert_eq!(without_nulls(rows), without_nulls(sample_rows()));
}

async fn assert_bytes_are_kept(lake: &TestLake, receipt: &Value, file: &[u8]) {
    assert_eq!(receipt["sha256"], sha256_of(file));
    assert_eq!(receipt["bytes_received"], file.len());
    let path = format!("/api/v1/uploads/{}/content", receipt["upload_id"].as_str().unwrap());
    let content = lake.get(&path).await;
    content.expect_status(200);
    assert_eq!(sha256_of(&content.body), sha256_of(file));
    assert_eq!(content.header("etag").unwrap().trim_matches('"'), sha256_of(file));
}

#[rstest]
#[tokio::test]
async fn a_file_arrives_whole_by_every_road(
    #[values(Format::Csv, Format::Ndjson, Format::Json, Format::Parquet, Format::Arrow, Format::Avro, Format::Zip)]
    format: Format,
    #[values(Encoding::Identity, Encoding::Gzip, Encoding::Zstd)] encoding: Encoding,
    #[values(true, false)] raw: bool,
) {
    let lake = TestLake::open().await;
    let file = encoding.encode(&sample_file(format));
    let answer = match raw {
        true => send_raw(&lake, format, encoding, &file).await,
        false => send_form(&lake, format, encoding, &file).await,
    };
    let receipt = answer.expect(201);
    assert_all_committed(&receipt, SAMPLE_ROWS);
    assert_eq!(receipt["format"], format.as_str());
    assert_table_is_the_sample(&lake).await;
    assert_bytes_are_kept(&lake, &receipt, &file).await;
}

#[tokio::test]
async fn files_of_every_format_go_into_one_table() {
    let lake = TestLake::open().await;
    for (version, format) in (0_u64..).zip(Format::ALL) {
        let receipt = send_raw(&lake, format, Encoding::Identity, &sample_file(format)).await.expect(201);
        assert_eq!(receipt["version"], version, "{format}");
    }
    let sql = "SELECT count(*) AS n, count(DISTINCT big) AS bigs, count(DISTINCT seen) AS moments FROM a.t";
    let each = SAMPLE_ROWS;
    assert_eq!(lake.rows(sql).await, [json!({"n": Format::ALL.len() as u64 * each, "bigs": each, "moments": each})]);
}

#[tokio::test]
async fn a_receipt_looks_like_this() {
    let lake = TestLake::open().await;
    let answer = lake.upload("nyc.flights", "?format=csv", "id\n1\n2\n").await;
    let mut receipt = answer.expect(201);
    assert_eq!(
        answer.header("location").unwrap(),
        format!("/api/v1/uploads/{}", receipt["upload_id"].as_str().unwrap())
    );
    assert!(answer.header("idempotent-replayed").is_none());
    assert!(
        receipt["raw_object"].as_str().unwrap().ends_with(&format!("{}.csv", receipt["upload_id"].as_str().unwrap()))
    );
    let moment = |field: &str| receipt[field].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!(moment("landed_at") <= moment("committed_at"));
    assert!(receipt["duration_ms"].is_u64());
    for field in ["upload_id", "raw_object", "landed_at", "committed_at", "duration_ms"] {
        receipt[field] = json!("[differs]");
    }
    insta::with_settings!({ sort_maps => true }, { insta::assert_json_snapshot!(receipt, @r#"
    {
      "bytes_received": 7,
      "committed_at": "[differs]",
      "dialect": {
        "delimiter": ",",
        "found": [
          "delimiter",
          "quote",
          "header"
        ],
        "header": true,
        "quote": "\""
      },
      "duration_ms": "[differs]",
      "format": "csv",
      "landed_at": "[differs]",
      "raw_object": "[differs]",
      "rows_committed": 2,
      "rows_deduplicated": 0,
      "rows_quarantined": 0,
      "rows_received": 2,
      "rows_rejected": 0,
      "sha256": "1d1c91d15ace6e21ea5f551e16e717f326992bdf800f6696628859be29b906bf",
      "table": "nyc.flights",
      "upload_id": "[differs]",
      "version": 0
    }
    "#) });
}

#[tokio::test]
async fn a_partitioned_upload_lies_in_a_folder_for_each_value() {
    let lake = TestLake::open().await;
    let body = "id,part\n1,a\n2,b\n3,a\n4,\n5,a/b=c\n";
    let receipt = lake.upload("a.t", "?format=csv&partition_by=part", body).await.expect(201);
    assert_all_committed(&receipt, 5);
    let log = lake.log("a.t", 0).await;
    let mut parts: Vec<_> =
        log.iter().filter_map(|action| Some(action.get("add")?["partitionValues"]["part"].clone())).collect();
    parts.sort_by_key(ToString::to_string);
    assert_eq!(parts, [json!("a"), json!("a/b=c"), json!("b"), Value::Null]);
    assert_eq!(
        lake.rows("SELECT id FROM a.t WHERE part = 'a' ORDER BY id").await,
        [json!({"id": 1}), json!({"id": 3})]
    );
    assert_eq!(lake.rows("SELECT id FROM a.t WHERE part = 'a/b=c'").await, [json!({"id": 5})]);
    assert_eq!(lake.rows("SELECT id FROM a.t WHERE part IS NULL").await, [json!({"id": 4})]);
}

#[tokio::test]
async fn a_header_alone_adds_nothing_to_a_table_and_makes_none() {
    let lake = TestLake::open().await;
    // Without a value there is nothing to tell the types of the columns by.
    assert_problem(&lake.upload("a.t", "?format=csv", "id,name\n").await, 422, "empty-file");
    assert_problem(&lake.get("/api/v1/tables/a/t").await, 404, "not-found");
    lake.upload("a.t", "?format=csv", "id,name\n1,a\n").await.expect_status(201);
    let receipt = lake.upload("a.t", "?format=csv", "id,name\n").await.expect(201);
    assert_all_committed(&receipt, 0);
    assert_eq!(lake.count("a.t").await, 1);
}
