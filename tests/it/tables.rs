//! Tables: listed, described, changed, deleted, restored, and read as they are and as they were.

use axum::http::Method;
use chrono::{TimeDelta, Utc};
use rstest::rstest;
use serde_json::{Value, json};
use sluice_catalog::KeptDescription;
use sluice_tests::{Answer, TestLake, assert_problem, table_path};

async fn lake_with(tables: &[&str]) -> TestLake {
    let lake = TestLake::open().await;
    for table in tables {
        lake.upload(table, "?format=csv", "id,name\n1,a\n2,b\n").await.expect_status(201);
    }
    lake
}

/// Every entry of a listing, and how many pages it came in.
async fn pages(lake: &TestLake, path: &str) -> (Vec<Value>, usize) {
    let (mut items, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = lake.get(&format!("{path}{token}")).await.expect(200);
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        pages += 1;
        match page["next_page_token"].as_str() {
            Some(next) => token = format!("&page_token={next}"),
            None => return (items, pages),
        }
        assert!(pages < 100, "{path} never ends");
    }
}

fn named(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

async fn patch(lake: &TestLake, table: &str, change: Value) -> Answer {
    lake.call(Method::PATCH, &table_path(table)).json(&change).send().await
}

#[rstest]
#[case(1, 5)]
#[case(2, 3)]
#[case(4, 2)]
#[case(5, 1)]
#[case(1000, 1)]
#[tokio::test]
async fn a_listing_is_whole_and_in_order_whatever_its_pages(#[case] size: usize, #[case] expected_pages: usize) {
    let lake = lake_with(&["b.t", "a.z", "a.a", "c.t", "a.m"]).await;
    let (items, count) = pages(&lake, &format!("/api/v1/tables?page_size={size}")).await;
    assert_eq!(named(&items, "name"), ["a.a", "a.m", "a.z", "b.t", "c.t"]);
    assert_eq!(count, expected_pages);
    let (items, _) = pages(&lake, &format!("/api/v1/tables?namespace=A&page_size={size}")).await;
    assert_eq!(named(&items, "name"), ["a.a", "a.m", "a.z"]);
    let (items, _) = pages(&lake, &format!("/api/v1/namespaces?page_size={size}")).await;
    assert_eq!(named(&items, "name"), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_table_tells_what_it_is() {
    let lake = TestLake::open().await;
    lake.upload("nyc.flights", "?format=csv&partition_by=DAY", "id,day\n1,2013-01-01\n2,\n").await.expect_status(201);
    let table = lake.describe("NYC.Flights").await;
    assert_eq!(table["name"], "nyc.flights");
    assert_eq!((&table["version"], &table["rows"], &table["files"]), (&json!(0), &json!(2), &json!(2)));
    assert_eq!((&table["owner"], &table["partition_by"]), (&json!("anonymous"), &json!(["day"])));
    let column = |name: &str, types: (&str, &str), partition: bool| {
        let (delta, arrow) = types;
        json!({"name": name, "delta_type": delta, "arrow_type": arrow, "nullable": true, "partition": partition})
    };
    assert_eq!(
        table["columns"],
        json!([column("id", ("long", "Int64"), false), column("day", ("date", "Date32"), true)])
    );
    assert_eq!(lake.get("/api/v1/namespaces/nyc").await.expect(200)["owner"], "anonymous");
}

#[tokio::test]
async fn a_description_is_set_kept_and_taken_away() {
    let lake = lake_with(&["nyc.flights"]).await;
    assert_eq!(lake.describe("nyc.flights").await["description"], Value::Null);
    let set = patch(&lake, "nyc.flights", json!({"description": "Abflüge 🛫"})).await.expect(200);
    assert_eq!(set["description"], "Abflüge 🛫");
    let kept = patch(&lake, "nyc.flights", json!({})).await.expect(200);
    assert_eq!(kept["description"], "Abflüge 🛫");
    let lake = lake.reopen().await;
    assert_eq!(lake.describe("nyc.flights").await["description"], "Abflüge 🛫");
    let taken = patch(&lake, "nyc.flights", json!({"description": null})).await.expect(200);
    assert_eq!(taken["description"], Value::Null);
}

#[tokio::test]
async fn a_description_that_cannot_be_is_refused() {
    let lake = lake_with(&["nyc.flights"]).await;
    let longest = "x".repeat(10_000);
    patch(&lake, "nyc.flights", json!({"description": longest})).await.expect_status(200);
    for text in [longest.clone() + "x", "a\0b".to_owned()] {
        let answer = patch(&lake, "nyc.flights", json!({"description": text})).await;
        assert_problem(&answer, 422, "bad-description");
    }
    assert_eq!(lake.describe("nyc.flights").await["description"], longest);
}

#[tokio::test]
async fn a_deleted_table_is_gone_until_it_is_restored() {
    let lake = lake_with(&["nyc.flights"]).await;
    let delete = async || lake.call(Method::DELETE, "/api/v1/tables/nyc/flights").send().await;
    let restore = async || lake.post("/api/v1/tables/nyc/flights/restore", &[], "").await;
    assert_problem(&restore().await, 409, "table-exists");
    delete().await.expect_status(204);
    for path in ["", "/preview", "/schema/history", "/versions"] {
        let answer = lake.get(&format!("/api/v1/tables/nyc/flights{path}")).await;
        assert_problem(&answer, 404, "not-found");
    }
    assert_problem(&delete().await, 404, "not-found");
    assert_problem(&lake.sql("SELECT * FROM nyc.flights").await, 404, "not-found");
    assert_eq!(lake.get("/api/v1/tables").await.expect(200), json!({"items": []}));

    assert_eq!(restore().await.expect(200)["rows"], 2);
    assert_eq!(lake.count("nyc.flights").await, 2);
    assert_problem(&lake.post("/api/v1/tables/nyc/never/restore", &[], "").await, 404, "not-found");
}

#[tokio::test]
async fn a_refused_upload_to_the_name_does_not_keep_a_table_from_being_restored() {
    let lake = lake_with(&["nyc.flights"]).await;
    lake.call(Method::DELETE, "/api/v1/tables/nyc/flights").send().await.expect_status(204);
    assert_problem(&lake.upload("nyc.flights", "?format=csv", "id\n1,2\n").await, 400, "malformed-file");
    lake.post("/api/v1/tables/nyc/flights/restore", &[], "").await.expect_status(200);
    assert_eq!(lake.count("nyc.flights").await, 2);
}

#[tokio::test]
async fn a_refused_upload_makes_no_namespace() {
    let lake = TestLake::open().await;
    assert_problem(&lake.upload("never.t", "?format=csv", "id\n1,2\n").await, 400, "malformed-file");
    assert_eq!(lake.get("/api/v1/namespaces").await.expect(200), json!({"items": []}));
}

#[tokio::test]
async fn the_name_of_a_deleted_table_is_free_and_then_taken() {
    let lake = lake_with(&["nyc.flights"]).await;
    let old = lake.describe("nyc.flights").await["location"].clone();
    lake.call(Method::DELETE, "/api/v1/tables/nyc/flights").send().await.expect_status(204);
    lake.upload("nyc.flights", "?format=csv", "other\nx\n").await.expect_status(201);
    let new = lake.describe("nyc.flights").await;
    assert_eq!((&new["version"], &new["rows"]), (&json!(0), &json!(1)));
    assert_ne!(new["location"], old, "the old rows stay where they are");
    let answer = lake.post("/api/v1/tables/nyc/flights/restore", &[], "").await;
    assert_problem(&answer, 409, "table-exists");
}

#[tokio::test]
async fn versions_and_schemas_are_histories_with_their_uploads() {
    let lake = TestLake::open().await;
    let mut uploads = Vec::new();
    for rows in ["id\n1\n", "id\n2\n3\n", "id\n4\n5\n6\n"] {
        let receipt = lake.upload("a.t", "?format=csv", rows).await.expect(201);
        uploads.push(receipt["upload_id"].as_str().unwrap().to_owned());
    }
    let (versions, count) = pages(&lake, "/api/v1/tables/a/t/versions?page_size=2").await;
    assert_eq!(count, 2);
    let numbers: Vec<_> = versions.iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1, 0]);
    let rows: Vec<_> = versions.iter().map(|version| version["rows_added"].as_u64().unwrap()).collect();
    assert_eq!(rows, [3, 2, 1]);
    let newest_first: Vec<_> = uploads.iter().rev().cloned().collect();
    let of_versions: Vec<&str> = versions.iter().map(|version| version["upload_ids"][0].as_str().unwrap()).collect();
    assert_eq!(of_versions, newest_first);
    let (entries, _) = pages(&lake, "/api/v1/tables/a/t/uploads?page_size=2").await;
    assert_eq!(named(&entries, "upload_id"), newest_first);

    let (schemas, _) = pages(&lake, "/api/v1/tables/a/t/schema/history?page_size=2").await;
    assert_eq!(named(&schemas, "upload_id"), uploads[..1]);
    assert_eq!((&schemas[0]["number"], &schemas[0]["table_version"]), (&json!(1), &json!(0)));
    assert_eq!(schemas[0]["columns"][0]["delta_type"], "long");
}

#[tokio::test]
async fn a_table_is_read_as_it_was() {
    let lake = TestLake::open().await;
    for rows in ["id\n1\n", "id\n2\n", "id\n3\n"] {
        lake.upload("a.t", "?format=csv", rows).await.expect_status(201);
    }
    for version in 0..3_u64 {
        let rows = json!([{"n": version + 1}]);
        let body = json!({"sql": "SELECT count(*) AS n FROM a.t", "versions": {"a.t": version}});
        let named = lake.call(Method::POST, "/api/v1/queries").json(&body).send().await.expect(200);
        assert_eq!((&named["rows"], &named["tables"]), (&rows, &json!({"a.t": version})));
        let sql = format!("SELECT count(*) AS n FROM a.t VERSION AS OF {version}");
        let written = lake.sql(&sql).await.expect(200);
        assert_eq!((&written["rows"], &written["tables"]), (&rows, &json!({"a.t": version})));
    }
    let absent = lake.sql("SELECT * FROM a.t VERSION AS OF 3").await;
    assert_eq!(absent.status.as_u16() / 100, 4, "{}", absent.text());
}

#[tokio::test]
async fn a_condition_on_the_partition_reads_one_file_of_twelve() {
    let lake = TestLake::open().await;
    let rows: String = (0..600).map(|id| format!("{id},{},name of {id}\n", 1 + id % 12)).collect();
    let body = format!("id,month,name\n{rows}");
    lake.upload("nyc.flights", "?format=csv&partition_by=month", body).await.expect_status(201);
    assert_eq!(lake.describe("nyc.flights").await["files"], 12);

    let whole = lake.sql("SELECT count(name) AS n, min(id) AS least FROM nyc.flights").await.expect(200);
    assert_eq!((&whole["rows"], &whole["files_scanned"]), (&json!([{"n": 600, "least": 0}]), &json!(12)));
    let sql = "SELECT count(name) AS n, min(id) AS least FROM nyc.flights WHERE month = 3";
    let pruned = lake.sql(sql).await.expect(200);
    assert_eq!((&pruned["rows"], &pruned["files_scanned"]), (&json!([{"n": 50, "least": 2}]), &json!(1)));
    let bytes = |answer: &Value| answer["bytes_scanned"].as_u64().unwrap();
    assert!(0 < bytes(&pruned) && bytes(&pruned) * 6 < bytes(&whole), "{} of {}", bytes(&pruned), bytes(&whole));
}

#[tokio::test]
async fn a_preview_shows_as_many_rows_as_wanted() {
    let lake = TestLake::open().await;
    let rows: String = (0..30).map(|id| format!("{id}\n")).collect();
    lake.upload("a.t", "?format=csv", format!("id\n{rows}")).await.expect_status(201);
    for (query, count) in [("", 20), ("?limit=1", 1), ("?limit=7", 7), ("?limit=1000", 30)] {
        let preview = lake.get(&format!("/api/v1/tables/a/t/preview{query}")).await.expect(200);
        assert_eq!(preview["rows"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(preview["columns"], json!([{"name": "id", "type": "Int64"}]));
        assert_eq!(preview["version"], 0);
    }
    for query in ["?limit=0", "?limit=1001", "?limit=all", "?limits=1"] {
        assert_problem(&lake.get(&format!("/api/v1/tables/a/t/preview{query}")).await, 400, "bad-parameter");
    }
}

#[tokio::test]
async fn a_table_survives_its_server() {
    let lake = lake_with(&["nyc.flights"]).await.reopen().await;
    assert_eq!(lake.count("nyc.flights").await, 2);
    let receipt = lake.upload("nyc.flights", "?format=csv", "id,name\n3,c\n").await.expect(201);
    assert_eq!(receipt["version"], 1);
    assert_eq!(lake.reopen().await.count("nyc.flights").await, 3);
}

/// A description that is kept tells 999 rows, which the table never had.
#[rstest]
#[case::told_without_a_look_at_the_files(0, 0, 999)]
#[case::too_old_to_be_believed(0, 25, 2)]
#[case::from_a_clock_that_is_ahead(0, -25, 2)]
#[case::of_another_release(7, 0, 2)]
#[tokio::test]
async fn a_kept_description_is_told_until_the_log_goes_on(
    #[case] protocol: u32,
    #[case] hours: i64,
    #[case] expected_rows: u64,
) {
    let lake = lake_with(&["nyc.flights"]).await;
    let closed = lake.close().await;
    let catalog = closed.catalog().await;
    let table = catalog.tables().find(&"nyc.flights".parse().unwrap()).await.unwrap().id;
    let protocol = if protocol == 0 { json!([1, 2]) } else { json!(protocol) };
    let body = json!({"version": 0, "schema": {"fields": [], "metadata": {}}, "partition_by": [], "rows": 999,
        "files": 1, "size_bytes": 1, "protocol": protocol, "layout": {}});
    let kept_at = Utc::now() - TimeDelta::hours(hours);
    let kept = KeptDescription { table, version: 0, body: body.to_string(), kept_at };
    catalog.descriptions().keep(&[kept]).await.unwrap();
    catalog.close().await.unwrap();
    let lake = closed.open().await;
    assert_eq!(lake.describe("nyc.flights").await["rows"], expected_rows);
    lake.upload("nyc.flights", "?format=csv", "id,name\n3,c\n").await.expect_status(201);
    assert_eq!(lake.describe("nyc.flights").await["rows"], 3);
    assert_eq!(lake.describe("nyc.flights").await["version"], 1);
}
