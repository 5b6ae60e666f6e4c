//! What every request gets: an id, one line in the log, and a problem that names the request when it fails.

use std::time::Instant;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::problem::Problem;

/// The header that carries the id of a request, both ways.
const REQUEST_ID: &str = "x-request-id";
/// The longest id that is taken over from a client.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The layer around every route.
pub(crate) async fn surround(request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request.id = %request_id, http.method = %method, http.path = %path);
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(problem) = find_problem(&mut response) {
        let allowed = response.headers_mut().remove(header::ALLOW);
        response = problem.for_request(&path, &request_id).into_body();
        response.headers_mut().extend(allowed.map(|methods| (header::ALLOW, methods)));
    }
    let duration_ms = started.elapsed().as_millis();
    let _entered = span.enter();
    tracing::debug!(http.status = response.status().as_u16(), duration_ms, "answered a request");
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

/// The problem that a handler left, or one for a failure that some layer answered in its own words.
fn find_problem(response: &mut Response) -> Option<Problem> {
    let status = response.status();
    let left = response.extensions_mut().remove::<Problem>();
    left.or_else(|| {
        let words = status.canonical_reason().unwrap_or("failed");
        let code = words.to_ascii_lowercase().replace(' ', "-");
        let failed = status.is_client_error() || status.is_server_error();
        failed.then(|| Problem::new(status, &code, words))
    })
}

/// The client's id of the request where it is short and plain, otherwise a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        !id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    given.filter(plain).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The answer where no route fits.
pub(crate) async fn no_route(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-route", format!("there is nothing at {}", uri.path()))
}

/// The answer where the route does not know the method.
pub(crate) async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// The answer where there are more connections than are served.
pub(crate) async fn too_many_connections() -> Problem {
    let detail = "there are more connections than the server takes; try again in a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", detail)
}

/// The answer where a handler panicked.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    use axum::response::IntoResponse as _;
    tracing::error!("a handler panicked");
    let detail = "a fault of the server; its log has the details under the request id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail).into_response()
}
