//! Alerts as JSON over HTTP.
//!
//! Invariant: an alert goes to the address of the settings and nowhere else: no redirect is followed.

use std::{collections::BTreeMap, error::Error, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{
    Client, Url,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;

use super::SendError;
use crate::Secret;

/// An address that takes JSON.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    url: HiddenUrl,
}

/// An address that is not shown.
struct HiddenUrl(Url);

impl std::fmt::Debug for HiddenUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Http {
    /// An address with the headers that are sent there.
    pub(crate) fn new(url: &Secret, headers: &BTreeMap<String, Secret>, timeout: Duration) -> Result<Self, String> {
        let url = Url::parse(url.reveal()).map_err(|error| format!("url: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("url: it is neither http nor https".to_owned());
        }
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let key: HeaderName = name.parse().map_err(|_| format!("headers: {name:?} is no name of a header"))?;
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| format!("headers.{name}: it is no value of a header"))?;
            value.set_sensitive(true);
            sent.insert(key, value);
        }
        let client = Client::builder().timeout(timeout).redirect(Policy::none()).default_headers(sent).build();
        Ok(Self { client: client.map_err(|error| error.without_url().to_string())?, url: HiddenUrl(url) })
    }

    /// Send it; anything but a success is a failure.
    pub(crate) async fn post(&self, body: &Value) -> Result<(), SendError> {
        let answer = self.client.post(self.url.0.clone()).json(body).send().await.map_err(|error| failure(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = said.and_then(|text| retry_after(text, Utc::now()));
        Err(SendError { reason: format!("it answered with {status}"), retry_after })
    }
}

/// The wait that a header asks for: seconds, or a date.
fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc) - now).to_std().ok()
}

/// What happened, without the address, which may hold a secret.
fn failure(error: &reqwest::Error) -> SendError {
    let what = match error {
        error if error.is_timeout() => "it did not answer in time",
        error if error.is_connect() => "it cannot be reached",
        _ => "the request failed",
    };
    // The outermost error tells the address; the one at the bottom tells what the operating system said.
    let mut deepest = error.source();
    while let Some(below) = deepest.and_then(Error::source) {
        deepest = Some(below);
    }
    let cause = deepest.map(|cause| format!(": {cause}")).unwrap_or_default();
    SendError::new(format!("{what}{cause}"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("120", Some(120))]
    #[case(" 0 ", Some(0))]
    #[case("Sat, 31 Jan 2026 12:01:30 GMT", Some(90))]
    #[case("Sat, 31 Jan 2026 11:00:00 GMT", None)]
    #[case("-5", None)]
    #[case("soon", None)]
    #[case("99999999999999999999999", None)]
    fn a_wait_is_told_in_seconds_or_by_a_date(#[case] text: &str, #[case] seconds: Option<u64>) {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs));
    }
}
