//! Requests to an API: bounded in time and size, tried again where that may help, and never sent elsewhere.
//!
//! Invariant: no request goes to another origin than the one that was allowed, redirects included.
//! Invariant: a token is in the header of a request and nowhere else.

use std::{path::Path, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER},
    redirect::Policy,
};
use sluice_domain::{HttpSource, SourceSettingsError, TokenRef, backoff, retry_after};

use super::{SourceError, page::next_in_link, settings::HttpSourcesSettings};

/// How many redirects are followed, within the origin.
const MAX_REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait that an API can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The longest wait of our own between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);
/// The longest token, in bytes.
const MAX_TOKEN_BYTES: u64 = 16 << 10;

/// The address of an API, if the settings allow its host.
pub(super) fn allowed_url(source: &HttpSource, settings: &HttpSourcesSettings) -> Result<Url, SourceError> {
    let bad = |reason: &str| SourceSettingsError::new("http.url", reason);
    let url = Url::parse(&source.url).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it is neither http nor https").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("credentials do not belong in a URL: name a token").into());
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let (alone, with_port) = (url.port().is_none().then(|| host.to_owned()), format!("{host}:{port}"));
    let is_named = |name: &String| {
        let name = name.to_ascii_lowercase();
        Some(&name) == alone.as_ref() || name == with_port
    };
    if !settings.hosts.iter().any(is_named) {
        return Err(SourceError::NotAllowed { what: format!("the host {with_port}"), setting: "sources.http.hosts" });
    }
    Ok(url)
}

/// The token that a source names, if the settings allow it.
pub(super) fn token(token: &TokenRef, settings: &HttpSourcesSettings) -> Result<String, SourceError> {
    let missing = |what: String| SourceSettingsError::new("http.token", format!("{what} holds no token"));
    let text = match token {
        TokenRef::Env(name) => {
            let is_named = |allowed: &String| match allowed.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == allowed,
            };
            if !settings.token_variables.iter().any(is_named) {
                let what = format!("the variable {name}");
                return Err(SourceError::NotAllowed { what, setting: "sources.http.token_variables" });
            }
            std::env::var(name).map_err(|_| missing(format!("the variable {name}")))?
        }
        TokenRef::File(name) => {
            let not_allowed =
                || SourceError::NotAllowed { what: format!("the file {name}"), setting: "sources.http.token_dir" };
            let dir = settings.token_dir.as_deref().filter(|_| is_plain(name)).ok_or_else(not_allowed)?;
            read_token(&dir.join(name)).ok_or_else(|| missing(format!("the file {name}")))?
        }
    };
    let text = text.trim();
    if text.is_empty() { Err(missing("its place".to_owned()).into()) } else { Ok(text.to_owned()) }
}

fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.contains(['/', '\\'])
}

fn read_token(path: &Path) -> Option<String> {
    let size_bytes = std::fs::metadata(path).ok()?.len();
    if size_bytes > MAX_TOKEN_BYTES { None } else { std::fs::read_to_string(path).ok() }
}

/// An answer with a page.
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// What its `Link` header calls the next page.
    pub(super) next_link: Option<String>,
}

/// Why one try came to nothing.
struct Miss {
    reason: String,
    /// After how long at least another try may help; none where it does not.
    again_after: Option<Duration>,
}

/// Fetches the pages of one API.
pub(super) struct ApiClient {
    http: Client,
    tries: u32,
    backoff: Duration,
    max_page_bytes: usize,
}

impl ApiClient {
    pub(super) fn new(source: &HttpSource, token: Option<&str>) -> Result<Self, SourceError> {
        let http = Client::builder()
            .default_headers(headers(source, token)?)
            .redirect(Policy::custom(|attempt| {
                let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
                match attempt.previous().len() {
                    _ if !is_same => attempt.error("a redirect leads to another origin"),
                    followed if followed > MAX_REDIRECTS => attempt.error("there are too many redirects"),
                    _ => attempt.follow(),
                }
            }))
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_secs(source.timeout_seconds.into()))
            .build()
            .map_err(|error| SourceError::internal(format!("no HTTP client can be made: {error}")))?;
        let backoff = Duration::from_millis(source.backoff_ms.into());
        Ok(Self { http, tries: source.tries, backoff, max_page_bytes: source.max_page_bytes as usize })
    }

    /// The answer, after as many tries as it needs and may have; the error says why there is none.
    pub(super) async fn get(&self, url: &Url) -> Result<Answer, String> {
        let mut tried = 0;
        loop {
            tried += 1;
            let miss = match self.try_once(url).await {
                Ok(answer) => return Ok(answer),
                Err(miss) => miss,
            };
            let Some(wait) = miss.again_after else { return Err(miss.reason) };
            if tried >= self.tries {
                return Err(format!("{}, after {tried} tries", miss.reason));
            }
            tracing::info!(http.host = url.host_str(), reason = miss.reason, tried, "a page is tried again");
            tokio::time::sleep(wait.max(self.pause_after(tried))).await;
        }
    }

    /// Each wait is twice as long as the one before, and up to a quarter longer by chance.
    fn pause_after(&self, tried: u32) -> Duration {
        let pause = backoff(self.backoff, tried, LONGEST_BACKOFF);
        pause + pause.mul_f64(0.25 * fastrand::f64())
    }

    async fn try_once(&self, url: &Url) -> Result<Answer, Miss> {
        let mut response = self.http.get(url.clone()).send().await.map_err(Miss::of)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Miss::of_status(&response));
        }
        let link = response.headers().get_all(LINK).iter().find_map(|value| next_in_link(value.to_str().ok()?));
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(Miss::of)? {
            if body.len() + piece.len() > self.max_page_bytes {
                let reason = format!("it is longer than max_page_bytes={}", self.max_page_bytes);
                return Err(Miss { reason, again_after: None });
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { body: body.freeze(), next_link: link })
    }
}

impl Miss {
    fn of(error: reqwest::Error) -> Self {
        let helps = !error.is_redirect() && !error.is_builder();
        // An address may hold what is nobody's business.
        let error = error.without_url();
        let cause = std::iter::successors(std::error::Error::source(&error), |cause| cause.source()).last();
        let reason = match cause {
            _ if error.is_timeout() => "the answer did not come in time".to_owned(),
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        };
        Self { reason, again_after: helps.then_some(Duration::ZERO) }
    }

    fn of_status(response: &Response) -> Self {
        let status = response.status();
        let helps = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, Utc::now()));
        let reason = format!("the API answered {status}");
        match asked.filter(|_| helps) {
            Some(wait) if wait > LONGEST_WAIT => {
                let reason = format!("{reason} and asks to wait for {} s", wait.as_secs());
                Self { reason, again_after: None }
            }
            asked => Self { reason, again_after: helps.then(|| asked.unwrap_or_default()) },
        }
    }
}

fn headers(source: &HttpSource, token: Option<&str>) -> Result<HeaderMap, SourceSettingsError> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    for (name, value) in &source.headers {
        let bad = || SourceSettingsError::new("http.headers", format!("{name:?} is no header with a plain value"));
        let name: HeaderName = name.parse().map_err(|_| bad())?;
        headers.insert(name, value.parse().map_err(|_| bad())?);
    }
    if let Some(token) = token {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|_| SourceSettingsError::new("http.token", "the token is not plain text"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Whether the headers of a source can be sent.
pub(super) fn check_headers(source: &HttpSource) -> Result<(), SourceSettingsError> {
    headers(source, None).map(drop)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings(hosts: &[&str]) -> HttpSourcesSettings {
        HttpSourcesSettings { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), ..Default::default() }
    }

    fn source(url: &str) -> HttpSource {
        serde_json::from_str(&format!(r#"{{"url": "{url}"}}"#)).unwrap()
    }

    #[rstest]
    #[case("https://api.example.com/o", true)]
    #[case("http://API.example.com/o", true)]
    #[case("https://api.example.com:8443/o", false)]
    #[case("http://10.0.0.7:8080/o", true)]
    #[case("http://10.0.0.7/o", false)]
    #[case("http://0xa.7:8080/o", true)]
    #[case("http://[::1]/", true)]
    #[case("http://evil.example.com/api.example.com", false)]
    #[case("http://api.example.com.evil/", false)]
    #[case("http://api.example.com@evil/", false)]
    #[case("file:///etc/passwd", false)]
    #[case("ftp://api.example.com/", false)]
    #[case("api.example.com", false)]
    fn only_named_hosts_are_reached(#[case] url: &str, #[case] allowed: bool) {
        let settings = settings(&["api.example.com", "10.0.0.7:8080", "[::1]"]);
        assert_eq!(allowed_url(&source(url), &settings).is_ok(), allowed);
        assert!(allowed_url(&source(url), &HttpSourcesSettings::default()).is_err());
    }

    #[test]
    fn only_named_variables_and_files_of_the_folder_are_tokens() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("orders"), " s3cret\n").unwrap();
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        let settings = HttpSourcesSettings {
            token_variables: vec!["CARGO_PKG_*".into(), "PATH_TO_NOTHING".into()],
            token_dir: Some(dir.path().to_owned()),
            ..Default::default()
        };
        let env = |name: &str| token(&TokenRef::Env(name.into()), &settings);
        let file = |name: &str| token(&TokenRef::File(name.into()), &settings);
        assert_eq!(file("orders").unwrap(), "s3cret");
        assert_eq!(env("CARGO_PKG_NAME").unwrap(), "sluice-ingest");
        assert!(matches!(env("HOME").unwrap_err(), SourceError::NotAllowed { .. }));
        assert!(matches!(env("PATH_TO_NOTHING").unwrap_err(), SourceError::Settings(_)));
        assert!(matches!(file("empty").unwrap_err(), SourceError::Settings(_)));
        for name in ["../orders", "/etc/passwd", ".", "a/b"] {
            assert!(matches!(file(name).unwrap_err(), SourceError::NotAllowed { .. }), "{name}");
        }
    }

    #[test]
    fn an_api_can_say_when_to_come_again() {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(retry_after("7", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sat, 31 Jan 2026 12:01:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Sat, 31 Jan 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn waits_double_and_are_bounded() {
        let client = ApiClient::new(&source("http://x/"), None).unwrap();
        for (tried, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (30, 120.0)] {
            let pause = client.pause_after(tried).as_secs_f64();
            assert!((seconds..=seconds * 1.25).contains(&pause), "{tried}: {pause}");
        }
    }
}
