//! What can be said of a source, who may say it, and what is kept of it.

use axum::http::Method;
use rstest::rstest;
use serde_json::{Value, json};
use sluice_domain::Action;
use sluice_tests::{TestLake, assert_problem};

use super::{define, folder_source, lake_over, merge, run_well};

fn http(more: &Value) -> Value {
    let mut body = json!({"table": "a.t", "http": {"url": "http://10.0.0.7:8080/orders"}});
    merge(&mut body, more);
    body
}

#[rstest]
#[case(json!({"table": "a.t"}), "bad-source", "either folder or http")]
#[case(json!({"table": "a.t", "folder": {"location": "/etc"}, "http": {"url": "http://x"}}), "bad-source", "either")]
#[case(json!({"table": "a.t", "folder": {"location": "/etc"}}), "source-not-allowed", "sources.folders")]
#[case(json!({"table": "a.t", "folder": {"location": "etc"}}), "bad-source", "absolute")]
#[case(json!({"table": "a.t", "folder": {"location": "s3://bucket/x"}}), "source-not-allowed", "sources.buckets")]
#[case(json!({"table": "a.t", "folder": {"location": "/etc", "patern": "*"}}), "bad-body", "patern")]
#[case(json!({"table": "a.t__quarantine", "http": {"url": "http://10.0.0.7:8080/"}}), "reserved-name", "quarantine")]
#[case(http(&json!({"http": {"url": "http://169.254.169.254/"}})), "source-not-allowed", "sources.http.hosts")]
#[case(http(&json!({"http": {"url": "http://me:pass@10.0.0.7:8080/"}})), "bad-source", "credentials")]
#[case(http(&json!({"http": {"url": "gopher://10.0.0.7:8080/"}})), "bad-source", "http")]
#[case(http(&json!({"http": {"token": {"env": "HOME"}}})), "source-not-allowed", "sources.http.token_variables")]
#[case(http(&json!({"http": {"token": {"file": "../x"}}})), "source-not-allowed", "sources.http.token_dir")]
#[case(http(&json!({"http": {"headers": {"Cookie": "a=b"}}})), "bad-source", "Cookie")]
#[case(http(&json!({"http": {"headers": {"a b": "c"}}})), "bad-source", "a b")]
#[case(http(&json!({"http": {"tries": 99}})), "bad-source", "http.tries")]
#[case(http(&json!({"options": {"format": "csv"}})), "bad-source", "json")]
#[case(http(&json!({"options": {"formt": "json"}})), "bad-parameter", "formt")]
#[case(http(&json!({"options": {"mode": "merge"}})), "bad-parameter", "merge_keys")]
#[case(http(&json!({"options": {"file_name": "a.json"}})), "bad-source", "file_name")]
#[case(http(&json!({"every_seconds": 0})), "bad-source", "every_seconds")]
#[tokio::test]
async fn a_source_that_cannot_be_is_refused_by_name(#[case] body: Value, #[case] code: &str, #[case] words: &str) {
    let hosts = vec!["10.0.0.7:8080".to_owned()];
    let lake = TestLake::builder().set(|settings| settings.sources.http.hosts = hosts).open().await;
    let answer = lake.call(Method::PUT, "/api/v1/sources/orders").json(&body).send().await;
    let problem = assert_problem(&answer, 422, code);
    assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    assert_problem(&lake.get("/api/v1/sources/orders").await, 404, "not-found");
}

#[tokio::test]
async fn a_source_is_shown_as_it_was_defined_and_keeps_what_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
    let lake = lake_over(folder.path()).open().await;
    let body = folder_source(folder.path(), &json!({"options": {"max_bad_rows": 3}}));
    let put = async |body: &Value| lake.call(Method::PUT, "/api/v1/sources/drop").json(body).send().await;
    put(&body).await.expect_status(201);
    let shown = lake.get("/api/v1/sources/drop").await.expect(200);
    assert_eq!(
        (&shown["kind"], &shown["table"], &shown["options"]),
        (&json!("folder"), &json!("a.t"), &body["options"])
    );
    assert_eq!(shown["folder"]["max_files"], 1000);
    run_well(&lake, "drop").await;
    put(&body).await.expect_status(200);
    assert_eq!(run_well(&lake, "drop").await["files_taken"], 0);

    let mut other = body.clone();
    other["table"] = json!("a.other");
    assert_problem(&put(&other).await, 409, "source-fixed");
    let mut other = body.clone();
    other["folder"]["location"] = json!(folder.path().join("below"));
    assert_problem(&put(&other).await, 409, "source-fixed");

    lake.call(Method::DELETE, "/api/v1/sources/drop").send().await.expect_status(204);
    assert_problem(&lake.get("/api/v1/sources/drop/runs").await, 404, "not-found");
    define(&lake, "drop", &body).await;
    assert_eq!(run_well(&lake, "drop").await["files_taken"], 1, "it is another source");
}

#[tokio::test]
async fn sources_are_listed_page_by_page_to_those_who_see_their_tables() {
    let folder = tempfile::tempdir().unwrap();
    let all = [Action::Read, Action::Append, Action::Manage];
    let builder = lake_over(folder.path()).key("owner", &all, None).key("other", &all, Some(&["b"]));
    let lake = builder.open().await;
    for (name, table) in [("one", "a.t"), ("two", "b.t"), ("three", "a.t")] {
        let body = folder_source(folder.path(), &json!({"table": table}));
        let call = lake.call(Method::PUT, &format!("/api/v1/sources/{name}")).key("owner").json(&body);
        call.send().await.expect_status(201);
    }
    let list = async |key: &str, query: &str| {
        lake.call(Method::GET, &format!("/api/v1/sources{query}")).key(key).send().await.expect(200)
    };
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = list("owner", "?page_size=2").await;
    assert_eq!(names(&first), ["one", "three"]);
    let token = first["next_page_token"].as_str().unwrap();
    assert_eq!(names(&list("owner", &format!("?page_size=2&page_token={token}")).await), ["two"]);
    assert_eq!(names(&list("other", "").await), ["two"]);
    // A name that somebody else has is no news of theirs.
    let body = folder_source(folder.path(), &json!({"table": "b.t"}));
    let taken = lake.call(Method::PUT, "/api/v1/sources/one").key("other").json(&body).send().await;
    assert_problem(&taken, 404, "not-found");
}

#[tokio::test]
async fn there_are_no_more_sources_than_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake_over(folder.path()).set(|settings| settings.sources.max_sources = 1).open().await;
    let body = folder_source(folder.path(), &json!({}));
    define(&lake, "one", &body).await;
    define(&lake, "one", &body).await;
    let answer = lake.call(Method::PUT, "/api/v1/sources/two").json(&body).send().await;
    assert_problem(&answer, 409, "too-many-sources");
}

#[tokio::test]
async fn the_lake_itself_is_no_source() {
    let lake = lake_over(std::path::Path::new("/")).open().await;
    for location in [lake.data_dir().to_owned(), lake.data_dir().join("raw/uploads"), "/".into()] {
        let body = folder_source(&location, &json!({}));
        let answer = lake.call(Method::PUT, "/api/v1/sources/lake").json(&body).send().await;
        assert_problem(&answer, 422, "bad-source");
    }
}
