//! What came back.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The path of the request, without the query.
    pub path: String,
}

impl Answer {
    /// The body as JSON; the test fails where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The body as text; the test fails where it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// A header's text, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("the header is text"))
    }

    /// The JSON of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        self.expect_status(status);
        self.json()
    }

    /// The test fails where the status is another.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{} was answered with {body}", self.path);
    }
}

/// The answer is an RFC 9457 problem of this status and code, whole and in agreement with its headers. Gives it back.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16, code: &str) -> Value {
    let problem = answer.expect(status);
    assert_eq!(answer.header(header::CONTENT_TYPE.as_str()), Some("application/problem+json"), "{problem}");
    assert_eq!(problem["type"], format!("urn:sluice:problem:{code}"), "{problem}");
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["instance"], answer.path, "{problem}");
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{problem}");
    for field in ["title", "detail", "request_id"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} says nothing: {problem}");
    }
    let title = problem["title"].as_str().unwrap_or_default();
    assert_eq!(title.to_lowercase(), code.replace('-', " "), "the title is the code in words: {problem}");
    let known =
        BTreeSet::from(["type", "title", "status", "detail", "instance", "request_id", "file_name", "upload_id"]);
    let fields = problem.as_object().expect("a problem is an object").keys();
    let strangers: Vec<_> = fields.filter(|field| !known.contains(field.as_str())).collect();
    assert!(strangers.is_empty(), "the problem has unknown fields {strangers:?}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{problem}");
    let needs = match status {
        401 => Some("www-authenticate"),
        405 => Some("allow"),
        429 | 503 => Some("retry-after"),
        _ => None,
    };
    assert!(needs.is_none_or(|name| answer.header(name).is_some()), "{needs:?} is missing: {:?}", answer.headers);
    problem
}
