//! One request.

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{Method, Request, request::Builder},
};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::Answer;

/// A request that is being put together. Owns what it needs, so that several can be sent at once.
pub struct Call {
    router: Router,
    request: Builder,
    body: Body,
    path: String,
}

impl Call {
    /// A request without headers and body; the path may have a query.
    pub(crate) fn new(router: Router, method: Method, path: &str) -> Self {
        let request = Request::builder().method(method).uri(path);
        let path = path.split('?').next().unwrap_or_default().to_owned();
        Self { router, request, body: Body::empty(), path }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With the key of this caller, as [`crate::LakeBuilder::key`] made it.
    #[must_use]
    pub fn key(self, name: &str) -> Self {
        let secret = crate::lake::secret_of(name);
        self.header("authorization", &format!("Bearer {secret}"))
    }

    /// With a body, and without telling its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Send it, and give the answer's body piece by piece, as it comes.
    pub async fn stream(self) -> BodyDataStream {
        let request = self.request.body(self.body).expect("the request can be sent");
        let response = self.router.oneshot(request).await.expect("a router always answers");
        assert!(response.status().is_success(), "{}: {}", self.path, response.status());
        response.into_body().into_data_stream()
    }

    /// Send it, and read the answer to its end.
    pub async fn send(self) -> Answer {
        let request = self.request.body(self.body).expect("the request can be sent");
        let response = self.router.oneshot(request).await.expect("a router always answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { status: parts.status, headers: parts.headers, body, path: self.path }
    }
}
