//! Failures on the wire: RFC 9457 `application/problem+json`, made here and nowhere else.
//!
//! Invariant: every answer with a status of 400 or more carries one, and none tells of the server's insides.

use std::{collections::BTreeMap, error::Error};

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sluice_domain::{ErrorKind, Failure, StoredFailure, UploadId};
use sluice_ingest::UploadFailure;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, ResponseBuilder, Type, response},
};

/// What the `type` of every problem begins with.
const PREFIX: &str = "urn:sluice:problem:";
/// The media type of problems.
const MEDIA_TYPE: &str = "application/problem+json";
/// How long a client that is asked to come again should wait where nothing tells better, in seconds.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Why a request failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A stable name of this kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:sluice:problem:type-mismatch")]
    kind: String,
    /// The same in words.
    #[schema(example = "Type mismatch")]
    title: String,
    /// The status of the answer.
    #[schema(example = 422, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time, naming the place.
    detail: String,
    /// The path of the request.
    instance: String,
    /// The id under which the request stands in the server's log; also in the header `x-request-id`.
    request_id: String,
    /// The upload whose bytes are kept in the raw zone although its rows are not in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    /// The client's name of the file that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this status, with a stable code and what happened.
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let mut headers = Vec::new();
        if status == StatusCode::UNAUTHORIZED {
            headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
        let passes = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let problem = Self {
            kind: type_of(code),
            title: title_of(code),
            status: status.as_u16(),
            detail: detail.into(),
            instance: String::new(),
            request_id: String::new(),
            upload_id: None,
            file_name: None,
            headers,
        };
        problem.with_retry_after(passes.then_some(RETRY_AFTER_SECONDS))
    }

    pub(crate) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn of(failure: &dyn Failure) -> Self {
        let status = status_of(failure.kind());
        let detail = match failure.kind() {
            ErrorKind::Internal => "a fault of the server; its log has the details under the request id".to_owned(),
            _ => failure.to_string(),
        };
        if status.is_server_error() {
            tracing::error!(error = %failure, cause = %causes(failure), code = failure.code(), "a request failed");
        }
        Self::new(status, failure.code(), detail).with_retry_after(failure.retry_after_seconds())
    }

    /// The failure that it tells of, as it is kept; whatever its status, it is the request that is at fault.
    pub(crate) fn into_refusal(self) -> StoredFailure {
        let code = self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind).to_owned();
        StoredFailure { kind: ErrorKind::Invalid, code, detail: self.detail }
    }

    /// Tell when to come again, in seconds; none leaves what was said before.
    fn with_retry_after(mut self, seconds: Option<u32>) -> Self {
        if let Some(seconds) = seconds {
            self.headers.retain(|(name, _)| name != header::RETRY_AFTER);
            self.headers.push((header::RETRY_AFTER, seconds.into()));
        }
        self
    }

    fn with_upload(mut self, upload_id: Option<UploadId>) -> Self {
        self.upload_id = upload_id.map(|id| id.to_string());
        self
    }

    /// Tell which file it was.
    pub(crate) fn with_file_name(mut self, file_name: Option<String>) -> Self {
        self.file_name = file_name;
        self
    }

    /// Tell which request it was; the layer around every route knows.
    pub(crate) fn for_request(mut self, instance: &str, request_id: &str) -> Self {
        instance.clone_into(&mut self.instance);
        request_id.clone_into(&mut self.request_id);
        self
    }

    /// The answer as it goes out.
    pub(crate) fn into_body(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = self.headers.clone();
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().extend(headers);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl<F: Failure> From<F> for Problem {
    fn from(failure: F) -> Self {
        let upload_id = (&failure as &dyn std::any::Any).downcast_ref::<UploadFailure>().and_then(|f| f.upload_id);
        Self::of(&failure).with_upload(upload_id)
    }
}

/// Leaves the problem to the layer around every route, which knows the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::InProgress => StatusCode::CONFLICT,
        ErrorKind::Malformed => StatusCode::BAD_REQUEST,
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::TimedOut => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::OutOfSpace => StatusCode::INSUFFICIENT_STORAGE,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The `type` of the problems with this code.
pub(crate) fn type_of(code: &str) -> String {
    format!("{PREFIX}{code}")
}

/// `type-mismatch` in words.
fn title_of(code: &str) -> String {
    let mut words = code.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn causes(failure: &dyn Failure) -> String {
    let mut causes = Vec::new();
    let mut cause = failure.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = Error::source(error);
    }
    causes.join(": ")
}

/// The problems that any operation can answer with, for the document.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<response::Response>> {
        let described = [
            ("400", "The request cannot be understood"),
            ("401", "The caller is not known"),
            ("403", "The caller may not do this"),
            ("404", "There is no such thing, or the caller cannot see it"),
            ("408", "The request took too long"),
            ("409", "The request does not fit the present state; with `Retry-After`, the same request is under way"),
            ("413", "The request is larger than the limit"),
            ("415", "The media type or encoding is not one that is read here"),
            ("422", "The request is understood, but what it carries is not acceptable"),
            ("429", "There is more work than the server takes on"),
            ("500", "A fault of the server"),
            ("503", "Something that the server depends on does not answer"),
            ("507", "There is no space left"),
        ];
        let retry_after = || {
            let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
            HeaderBuilder::new().schema(Some(whole)).description(Some("After how many seconds to come again")).build()
        };
        let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = |(status, text): (&str, &str)| {
            let response = ResponseBuilder::new().description(text).content(MEDIA_TYPE, content());
            let passes = ["409", "429", "503", "507"].contains(&status);
            let response = if passes { response.header("Retry-After", retry_after()) } else { response };
            (status.to_owned(), response.build().into())
        };
        described.into_iter().map(response).collect()
    }
}
