//! Refusals that come before their request was read to its end.
//!
//! Invariant: such an answer says that the connection ends with it, for what is left of the body is in the way of any
//! other request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    http::{HeaderValue, header::CONNECTION},
    middleware::Next,
    response::Response,
};
use futures::{StreamExt as _, stream};

/// Say that the connection ends, where a request is refused of which some was left unread.
pub(crate) async fn end_connection(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let watched = request.map(|body| {
        let seen = stream::poll_fn(move |_| {
            end.store(true, Ordering::Relaxed);
            Poll::Ready(None)
        });
        Body::from_stream(body.into_data_stream().chain(seen))
    });
    let mut response = next.run(watched).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused && !ended.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
