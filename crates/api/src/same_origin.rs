//! Pages of other sites cannot use a visitor's browser to reach the server.
//!
//! Without keys, being able to connect is all that protects a loopback server, and every page that a browser on the same
//! machine shows can connect. A browser says so in `Origin`; a site whose name was rebound to a loopback address shows in
//! `Host`.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use crate::{auth::Authenticator, problem::Problem};

/// The layer that refuses requests of other sites' pages.
pub(crate) async fn guard(State(authenticator): State<Arc<Authenticator>>, request: Request, next: Next) -> Response {
    match check(request.headers(), authenticator.is_open()) {
        Ok(()) => next.run(request).await,
        Err(detail) => Problem::new(StatusCode::FORBIDDEN, "cross-origin", detail).into_response(),
    }
}

fn check(headers: &HeaderMap, open: bool) -> Result<(), &'static str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    if open && !host.is_empty() && !is_loopback(host) {
        return Err("without authentication the server answers to loopback names only, such as localhost");
    }
    match text(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, authority)| authority)) {
        Some(origin) if !origin.eq_ignore_ascii_case(host) => Err("the request comes from a page of another site"),
        _ => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, origin: Option<&str>, open: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        check(&headers, open).is_ok()
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.1.2.3"] {
            assert!(allowed(host, None, true), "{host}");
        }
        assert!(allowed("127.0.0.1:8080", Some("http://127.0.0.1:8080"), true));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:9090", "http://localhost:8080"] {
            assert!(!allowed("127.0.0.1:8080", Some(origin), true), "{origin}");
        }
    }

    #[test]
    fn a_rebound_name_is_refused_where_everybody_is_let_in() {
        assert!(!allowed("evil.example", None, true));
        assert!(!allowed("127.0.0.1.evil.example", None, true));
        assert!(allowed("lake.example", None, false));
        assert!(!allowed("lake.example", Some("https://evil.example"), false));
    }
}
