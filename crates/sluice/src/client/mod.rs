//! Thin clients of the HTTP API.

mod apply;
mod query;
mod resources;
mod run;
mod upload;
mod write_flags;

use std::fmt;

use anyhow::Context as _;
use reqwest::{RequestBuilder, Response, StatusCode, Url, header};
use serde::Deserialize;

pub(crate) use apply::FilesCommand;
pub(crate) use query::{Output, QueryCommand};
pub(crate) use resources::Resource;
pub(crate) use run::RunCommand;
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

/// What the server said instead of doing as it was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

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

    /// Send, and turn a problem into a [`Refusal`] that reads alone.
    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.with_context(|| format!("{} does not answer", self.server))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = match serde_json::from_str::<ProblemText>(&response.text().await?) {
            Ok(ProblemText { title, detail, upload_id: Some(id) }) => {
                format!("{title}: {detail} (upload {id}, its bytes are kept)")
            }
            Ok(ProblemText { title, detail, .. }) => format!("{title}: {detail}"),
            Err(_) => format!("the server answered {status}"),
        };
        Err(Refusal { status, text }.into())
    }
}
