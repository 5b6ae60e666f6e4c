//! Thin clients of the HTTP API.

mod query;
mod upload;
mod write_flags;

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, Response, Url, header};
use serde::Deserialize;

pub(crate) use query::{Output, QueryCommand};
pub(crate) use upload::UploadCommand;
pub(crate) use write_flags::WriteFlags;

/// Where the server is and who is asking.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConnectionFlags {
    /// The server
    #[arg(long, env = "SLUICE_SERVER", default_value = "http://127.0.0.1:8080")]
    pub(crate) server: Url,
    /// The bearer key, where the server asks for one
    #[arg(long, env = "SLUICE_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
}

/// A server that is spoken to.
pub(crate) struct Connection {
    http: reqwest::Client,
    server: Url,
}

/// The parts of a problem that are worth showing.
#[derive(Deserialize)]
struct ProblemText {
    title: String,
    detail: String,
    upload_id: Option<String>,
}

impl Connection {
    pub(crate) fn new(flags: &ConnectionFlags) -> anyhow::Result<Self> {
        let mut headers = header::HeaderMap::new();
        if let Some(key) = &flags.key {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {key}")).context("the key is not plain")?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder().default_headers(headers).build()?;
        Ok(Self { http, server: flags.server.clone() })
    }

    fn url(&self, segments: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.server.clone();
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("{} is not a server", self.server))?.extend(segments);
        Ok(url)
    }

    /// Send, and turn a problem into an error that reads alone.
    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.with_context(|| format!("{} does not answer", self.server))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.text().await?;
        match serde_json::from_str::<ProblemText>(&text) {
            Ok(ProblemText { title, detail, upload_id: Some(id) }) => {
                bail!("{title}: {detail} (upload {id}, its bytes are kept)")
            }
            Ok(ProblemText { title, detail, .. }) => bail!("{title}: {detail}"),
            Err(_) => bail!("the server answered {status}"),
        }
    }
}
