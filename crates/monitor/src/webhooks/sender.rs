//! Requests to webhooks.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap},
};
use sluice_domain::{ChangeWebhook, FailedTry, WebhookError};

use super::message::{Message, signature, signing_key};
use crate::{
    ChangeWebhookSettings, MonitorError,
    channels::{
        SendError,
        http::{client, http_url, send},
    },
};

/// Sends requests to the hosts that the settings name.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    hosts: Vec<String>,
}

impl Sender {
    pub(crate) fn new(settings: &ChangeWebhookSettings) -> Result<Self, MonitorError> {
        let timeout = Duration::from_secs(settings.timeout_seconds.max(1));
        let bad = |reason| MonitorError::Settings { channel: "webhooks".to_owned(), reason };
        let hosts = settings.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self { client: client(timeout, HeaderMap::new()).map_err(bad)?, hosts })
    }

    /// The address, if the settings allow its host.
    pub(crate) fn allowed(&self, url: &str) -> Result<Url, WebhookError> {
        let bad = |reason: String| WebhookError::new("url", reason);
        let url = http_url(url).map_err(bad)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("credentials do not belong in a URL: give a secret, which signs what is sent".to_owned()));
        }
        let host = url.host_str().unwrap_or_default();
        let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let is_named = |name: &String| *name == with_port || (url.port().is_none() && name == host);
        if self.hosts.iter().any(is_named) {
            Ok(url)
        } else {
            Err(bad(format!("the host {with_port} is not among those of the setting monitor.webhooks.hosts")))
        }
    }

    /// Send a message once; it is taken where the answer is a success.
    pub(crate) async fn send(
        &self,
        webhook: &ChangeWebhook,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<(), FailedTry> {
        let failed = |error: String| FailedTry { error, retry_after: None, is_gone: false };
        let url = self.allowed(&webhook.definition.url).map_err(|error| failed(error.to_string()))?;
        let timestamp = now.timestamp();
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, message.media_type)
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(secret) = &webhook.secret {
            let key = signing_key(secret).map_err(|error| failed(error.to_string()))?;
            request = request.header("webhook-signature", signature(&key, &message.id, timestamp, &message.body));
        }
        let sent = send(request.body(message.body.clone())).await;
        let answer = sent.map_err(|SendError { reason, .. }| failed(reason))?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(FailedTry {
            error: format!("it answered with {}", answer.status),
            retry_after: answer.retry_after,
            is_gone: answer.status == StatusCode::GONE,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://hooks.example.com/o?token=1", true)]
    #[case("http://HOOKS.example.com/", true)]
    #[case("https://hooks.example.com:8443/", false)]
    #[case("http://10.0.0.7:8080/o", true)]
    #[case("http://10.0.0.7/o", false)]
    #[case("http://0xa.7:8080/o", true)]
    #[case("http://[::1]/", true)]
    #[case("http://hooks.example.com.evil/", false)]
    #[case("http://evil/hooks.example.com", false)]
    #[case("http://hooks.example.com@evil/", false)]
    #[case("http://user@hooks.example.com/", false)]
    #[case("file:///etc/passwd", false)]
    #[case("ftp://hooks.example.com/", false)]
    #[case("hooks.example.com", false)]
    fn only_hosts_that_the_settings_name_are_told_of_anything(#[case] url: &str, #[case] allowed: bool) {
        let hosts = ["Hooks.example.com", "10.0.0.7:8080", "[::1]"].map(str::to_owned).to_vec();
        let sender = Sender::new(&ChangeWebhookSettings { hosts, ..Default::default() }).unwrap();
        assert_eq!(sender.allowed(url).is_ok(), allowed);
        let nobody = Sender::new(&ChangeWebhookSettings::default()).unwrap();
        assert_eq!(nobody.allowed(url).unwrap_err().field, "url");
    }
}
