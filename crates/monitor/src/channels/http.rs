//! Alerts and events as JSON over HTTP.
//!
//! Invariant: what is sent goes to the address that was checked and nowhere else: no redirect is followed.

use std::{collections::BTreeMap, error::Error, time::Duration};

use chrono::Utc;
use reqwest::{
    Client, RequestBuilder, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;
use sluice_domain::retry_after;

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
        let url = http_url(url.reveal()).map_err(|reason| format!("url: {reason}"))?;
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            let key: HeaderName = name.parse().map_err(|_| format!("headers: {name:?} is no name of a header"))?;
            let mut value = HeaderValue::from_str(value.reveal())
                .map_err(|_| format!("headers.{name}: it is no value of a header"))?;
            value.set_sensitive(true);
            sent.insert(key, value);
        }
        Ok(Self { client: client(timeout, sent)?, url: HiddenUrl(url) })
    }

    /// Send it; anything but a success is a failure.
    pub(crate) async fn post(&self, body: &Value) -> Result<(), SendError> {
        let Answer { status, retry_after } = send(self.client.post(self.url.0.clone()).json(body)).await?;
        if status.is_success() {
            return Ok(());
        }
        Err(SendError { reason: format!("it answered with {status}"), retry_after })
    }
}

/// An address that is reached over HTTP.
pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err("it is neither http nor https".to_owned()) }
}

/// A client that waits so long for an answer, and follows no redirect.
pub(crate) fn client(timeout: Duration, headers: HeaderMap) -> Result<Client, String> {
    let client = Client::builder().timeout(timeout).redirect(Policy::none()).default_headers(headers).build();
    client.map_err(|error| error.without_url().to_string())
}

/// What was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// How long the answer asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

/// Send a request, and read no more of the answer than its head.
pub(crate) async fn send(request: RequestBuilder) -> Result<Answer, SendError> {
    let answer = request.send().await.map_err(|error| failure(&error))?;
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Ok(Answer { status: answer.status(), retry_after: asked.and_then(|text| retry_after(text, Utc::now())) })
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
