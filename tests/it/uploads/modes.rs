//! What becomes of the rows that are there: appended to, overwritten, merged into, or refused.

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{TestLake, assert_problem};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const MERGE: &str = "/api/v1/tables/lake/raw/uploads?mode=merge&merge_keys=id";

/// Merge one JSON document into `lake.raw`.
async fn merge(lake: &TestLake, row: Value) -> Value {
    let receipt = lake.post(MERGE, &JSON, row.to_string()).await.expect(201);
    assert_adds_up(&receipt);
    receipt
}

/// `received = committed + quarantined + deduplicated + rejected`.
pub(super) fn assert_adds_up(receipt: &Value) {
    let count = |field: &str| receipt[field].as_u64().unwrap();
    let parts = ["rows_committed", "rows_quarantined", "rows_deduplicated", "rows_rejected"];
    assert_eq!(count("rows_received"), parts.into_iter().map(count).sum::<u64>(), "{receipt}");
    if let Some(inserted) = receipt["rows_inserted"].as_u64() {
        let merged = inserted + count("rows_updated") + count("rows_deleted");
        assert_eq!(count("rows_committed"), merged, "{receipt}");
    }
}

fn types(description: &Value) -> Vec<(String, String)> {
    let columns = description["columns"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    columns.map(|column| (text(&column["name"]), text(&column["delta_type"]))).collect()
}

#[tokio::test]
async fn a_document_is_inserted_and_the_next_one_with_its_id_takes_its_place() {
    let lake = TestLake::open().await;
    let first = merge(&lake, json!({"id": 1, "v": 1.5, "big": 1_i64 << 40, "yes": true})).await;
    assert_eq!((&first["rows_inserted"], &first["version"]), (&json!(1), &json!(0)));
    let expected = [("big", "long"), ("id", "long"), ("v", "double"), ("yes", "boolean")];
    let expected: Vec<_> = expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into();
    let mut found = types(&lake.describe("lake.raw").await);
    found.sort();
    assert_eq!(found, expected);
    let second = merge(&lake, json!({"id": 1, "v": 2.5})).await;
    assert_eq!((&second["rows_updated"], &second["rows_inserted"]), (&json!(1), &json!(0)));
    let row = json!({"id": 1, "v": 2.5, "big": 1_i64 << 40, "yes": true});
    assert_eq!(lake.rows("SELECT * FROM lake.raw").await, [row], "columns that the document lacks keep their values");
    merge(&lake, json!({"id": 2, "v": 7.0})).await;
    assert_eq!(lake.count("lake.raw").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn upserts_of_one_id_at_once_leave_one_row_with_the_newest_value() {
    let first = TestLake::open().await;
    let second = first.open_another().await;
    merge(&first, json!({"id": 0, "v": 0})).await;
    let calls = (1..=12).map(|value| {
        let lake = if value % 2 == 0 { &first } else { &second };
        let row = json!([{"id": 1, "v": value}, {"id": 100 + value, "v": value}]);
        tokio::spawn(lake.call(Method::POST, MERGE).json(&row).send())
    });
    let mut newest = (0, 0);
    for (value, answer) in (1..=12).zip(join_all(calls).await) {
        let receipt = answer.unwrap().expect(201);
        assert_eq!(receipt["rows_committed"], 2, "{receipt}");
        newest = newest.max((receipt["version"].as_u64().unwrap(), value));
    }
    assert_eq!(newest.0, 12, "each upsert is a version of its own");
    for lake in [&first, &second] {
        let row = json!({"id": 1, "v": newest.1});
        assert_eq!(lake.rows("SELECT id, v FROM lake.raw WHERE id = 1").await, [row]);
        let row = json!({"n": 14, "ids": 14});
        assert_eq!(lake.rows("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM lake.raw").await, [row]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_and_merges_at_once_lose_nothing() {
    let lake = TestLake::open().await;
    merge(&lake, json!({"id": 0, "v": 0})).await;
    let calls = (1..=16).map(|value| {
        let path = if value % 2 == 0 { MERGE } else { "/api/v1/tables/lake/raw/uploads" };
        tokio::spawn(lake.call(Method::POST, path).json(&json!({"id": value, "v": value})).send())
    });
    for answer in join_all(calls).await {
        answer.unwrap().expect_status(201);
    }
    let row = json!({"n": 17, "total": 136});
    assert_eq!(lake.rows("SELECT count(*) AS n, sum(v) AS total FROM lake.raw").await, [row]);
}

#[tokio::test]
async fn an_overwrite_replaces_every_row_and_keeps_the_versions_before() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,p\n1,x\n2,y\n").await.expect_status(201);
    let receipt = lake.upload("a.t", "?format=csv&mode=overwrite", "id,p\n7,z\n").await.expect(201);
    assert_adds_up(&receipt);
    assert_eq!((&receipt["version"], &receipt["rows_committed"]), (&json!(1), &json!(1)));
    assert_eq!(lake.rows("SELECT id FROM a.t").await, [json!({"id": 7})]);
    // A new table is made as by any other upload.
    lake.upload("a.new", "?format=csv&mode=overwrite", "id\n1\n").await.expect_status(201);
    assert_eq!(lake.count("a.new").await, 1);
}

#[tokio::test]
async fn an_overwrite_of_partitions_leaves_the_others() {
    let lake = TestLake::open().await;
    let rows = "id,p\n1,x\n2,y\n3,\n4,z/z\n";
    lake.upload("a.t", "?format=csv&partition_by=p", rows).await.expect_status(201);
    let rows = "id,p\n20,y\n30,\n40,z/z\n41,z/z\n50,new\n";
    let receipt = lake.upload("a.t", "?format=csv&mode=overwrite_partitions", rows).await.expect(201);
    assert_adds_up(&receipt);
    let ids: Vec<Value> = lake.rows("SELECT id FROM a.t ORDER BY id").await;
    assert_eq!(ids, [1, 20, 30, 40, 41, 50].map(|id| json!({ "id": id })));
    lake.upload("a.plain", "?format=csv", "id\n1\n").await.expect_status(201);
    let answer = lake.upload("a.plain", "?format=csv&mode=overwrite_partitions", "id\n2\n").await;
    assert_problem(&answer, 422, "not-partitioned");
    assert_eq!(lake.rows("SELECT id FROM a.plain").await, [json!({"id": 1})]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_upload_makes_the_table_that_must_not_exist_and_the_others_change_nothing() {
    let lake = TestLake::open().await;
    let calls = (0..8).map(|number| {
        let call = lake.call(Method::POST, "/api/v1/tables/a/t/uploads?format=csv&mode=error_if_exists");
        tokio::spawn(call.header("idempotency-key", &format!("k{number}")).body(format!("id\n{number}\n")).send())
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        assert_problem(answer, 409, "table-exists");
    }
    assert_eq!((lake.count("a.t").await, lake.describe("a.t").await["version"].as_u64()), (1, Some(0)));
    // Whoever made it is told so again, not that it exists.
    let again = answers.iter().position(|answer| answer.status == 201).unwrap();
    let path = "/api/v1/tables/a/t/uploads?format=csv&mode=error_if_exists";
    let answer = lake.post(path, &[("idempotency-key", &format!("k{again}"))], format!("id\n{again}\n")).await;
    assert_eq!(answer.expect(201)["upload_id"], made[0].json()["upload_id"]);
    let unfinished = lake.reopen().await;
    assert_eq!(unfinished.count("a.t").await, 1, "what was refused is not tried again");
}

#[tokio::test]
async fn a_repeated_merge_is_answered_with_its_receipt_and_does_nothing() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,v\n1,1\n2,2\n").await.expect_status(201);
    let (query, rows) = ("?format=csv&mode=merge&merge_keys=id", "id,v\n1,10\n3,30\n3,31\n");
    let path = format!("/api/v1/tables/a/t/uploads{query}");
    let first = lake.post(&path, &[("idempotency-key", "k")], rows).await.expect(201);
    assert_eq!((&first["rows_updated"], &first["rows_inserted"]), (&json!(1), &json!(1)));
    assert_eq!(first["rows_deduplicated"], 1);
    lake.upload("a.t", query, "id,v\n1,11\n").await.expect_status(201);
    let again = lake.post(&path, &[("idempotency-key", "k")], rows).await;
    assert_eq!((again.expect(201), again.header("idempotent-replayed")), (first, Some("true")));
    let other = "/api/v1/tables/a/t/uploads?format=csv&mode=merge&merge_keys=v";
    let answer = lake.post(other, &[("idempotency-key", "k")], rows).await;
    assert_problem(&answer, 422, "idempotency-key-reused");
    let rows = lake.rows("SELECT id, v FROM a.t ORDER BY id").await;
    assert_eq!(rows, [(1, 11), (2, 2), (3, 31)].map(|(id, v)| json!({"id": id, "v": v})));
}

#[tokio::test]
async fn markers_delete_and_late_rows_are_not_applied() {
    let lake = TestLake::open().await;
    let query = "?format=csv&mode=merge&merge_keys=id&delete_when=op&order_by=at";
    let rows = "id,at,op,v\n1,5,I,a\n2,5,I,b\n3,5,I,c\n4,5,D,d\n";
    let receipt = lake.upload("a.t", query, rows).await.expect(201);
    assert_adds_up(&receipt);
    assert_eq!((&receipt["rows_inserted"], &receipt["rows_rejected"]), (&json!(3), &json!(1)));
    let names: Vec<String> = types(&lake.describe("a.t").await).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["id", "at", "v"], "the marker is not stored");
    // Newer, late, deleted; and of one key the newest row, which is not the last.
    let rows = "id,at,op,v\n1,6,U,new\n2,4,D,late\n3,6,d,gone\n5,9,I,newest\n5,8,I,older\n";
    let receipt = lake.upload("a.t", query, rows).await.expect(201);
    assert_adds_up(&receipt);
    let counts = ["rows_inserted", "rows_updated", "rows_deleted", "rows_deduplicated"].map(|field| &receipt[field]);
    assert_eq!(counts, [&json!(1), &json!(1), &json!(1), &json!(2)]);
    let rows = lake.rows("SELECT id, v FROM a.t ORDER BY id").await;
    assert_eq!(rows, [(1, "new"), (2, "b"), (5, "newest")].map(|(id, v)| json!({"id": id, "v": v})));
}

#[tokio::test]
async fn a_merge_that_cannot_be_is_refused_with_the_place_and_changes_nothing() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,v\n1,1\n").await.expect_status(201);
    let query = "?format=csv&mode=merge&merge_keys=id";
    let strict = format!("{query}&max_bad_rows=0");
    let problem = assert_problem(&lake.upload("a.t", &strict, "id,v\n1,2\n,3\n").await, 422, "broken-rule");
    assert!(problem["detail"].as_str().unwrap().contains("row 2, column \"id\""), "{problem}");
    assert_problem(&lake.upload("a.t", query, "v\n1\n").await, 422, "bad-key");
    let query = "?format=csv&mode=merge&merge_keys=id&delete_when=nope";
    assert_problem(&lake.upload("a.t", query, "id,v\n1,2\n").await, 422, "bad-key");
    assert_problem(&lake.upload("a.t", "?format=csv&mode=upsert", "id,v\n1,2\n").await, 400, "bad-parameter");
    assert_problem(&lake.upload("a.t", "?format=csv&mode=merge", "id,v\n1,2\n").await, 400, "bad-parameter");
    assert_eq!(lake.describe("a.t").await["version"], 0);
    assert_eq!(lake.rows("SELECT id, v FROM a.t").await, [json!({"id": 1, "v": 1})]);
}

#[tokio::test]
async fn rows_of_a_merge_without_a_key_are_set_aside() {
    let lake = TestLake::open().await;
    lake.upload("a.t", "?format=csv", "id,v\n1,1\n").await.expect_status(201);
    let receipt = lake.upload("a.t", "?format=csv&mode=merge&merge_keys=id", "id,v\n,3\n1,2\n").await.expect(201);
    assert_adds_up(&receipt);
    assert_eq!((&receipt["rows_updated"], &receipt["rows_quarantined"]), (&json!(1), &json!(1)));
    let set_aside = lake.rows("SELECT row_number, rule, column_name FROM a.t__quarantine").await;
    assert_eq!(set_aside, [json!({"row_number": 1, "rule": "missing-key", "column_name": "id"})]);
}

#[tokio::test]
async fn who_may_only_add_rows_may_not_change_those_that_are_there() {
    let actions = [Action::Read, Action::Append];
    let lake = TestLake::builder().key("adder", &actions, None).open().await;
    let status = async |query: &str| {
        let call = lake.call(Method::POST, &format!("/api/v1/tables/a/t/uploads?format=csv{query}")).key("adder");
        call.body("id\n1\n").send().await.status.as_u16()
    };
    assert_eq!(status("").await, 201);
    for query in ["&mode=overwrite", "&mode=overwrite_partitions", "&mode=merge&merge_keys=id"] {
        assert_eq!(status(query).await, 403, "{query}");
    }
    let inserts_only = "&mode=merge&merge_keys=id&merge_matched=ignore";
    for query in ["&dedup_keys=id", inserts_only] {
        assert_eq!(status(query).await, 201, "{query}");
    }
    assert_eq!(status(&format!("{inserts_only}&delete_when=id")).await, 403);
}
