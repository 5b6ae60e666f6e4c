//! The OpenAPI document: the committed one is the served one, and it says of every operation what a client needs.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_tests::TestLake;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/v1.json");
/// What of a path item is an operation.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// Every operation of the document: its method in capitals, its path, and what it says.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(sluice_api::document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let of_path = METHODS.iter().filter_map(|method| Some((*method, item.get(method)?)));
        operations.extend(of_path.map(|(method, said)| (method.to_uppercase(), path.clone(), said.clone())));
    }
    operations
}

#[test]
fn the_committed_document_is_that_of_the_routes() {
    let made = sluice_api::document().to_pretty_json().unwrap() + "\n";
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        made == committed,
        "openapi/v1.json is not the document of the routes; make it anew with\n\n    \
         cargo run -- openapi > openapi/v1.json\n"
    );
}

#[tokio::test]
async fn the_served_document_is_the_same() {
    let served = TestLake::open().await.get("/openapi.json").await.expect(200);
    assert_eq!(served, serde_json::to_value(sluice_api::document()).unwrap());
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn every_operation_has_an_id_and_a_tag_of_its_own() {
    let document = serde_json::to_value(sluice_api::document()).unwrap();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone().to_string()).collect();
    let mut ids = BTreeSet::new();
    for (method, path, said) in operations() {
        let id = said["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
        assert!(ids.insert(id.to_owned()), "{id} is the id of two operations");
        let tagged = said["tags"].as_array().unwrap_or_else(|| panic!("{id} has no tag"));
        assert!(tagged.len() == 1 && tags.contains(&tagged[0].to_string()), "{id} has the tags {tagged:?}");
        assert!(said["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id} has no summary");
    }
}

#[test]
fn every_failure_is_documented_as_a_problem() {
    for (method, path, said) in operations() {
        let responses = said["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path} never succeeds");
        for (status, response) in responses.iter().filter(|(status, _)| !status.starts_with('2')) {
            let content =
                response["content"].as_object().unwrap_or_else(|| panic!("{method} {path} {status}: no content"));
            let media_types: Vec<_> = content.keys().map(String::as_str).collect();
            assert_eq!(media_types, ["application/problem+json"], "{method} {path} {status}");
            let schema = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{method} {path} {status}");
        }
    }
}

#[test]
fn what_needs_a_key_is_documented_to_answer_without_one() {
    for (method, path, said) in operations() {
        let open = path == "/healthz" || path == "/readyz";
        assert_eq!(said["responses"].get("401").is_none(), open, "{method} {path}");
        assert_eq!(said.get("security").is_some(), open, "{method} {path}");
    }
}
