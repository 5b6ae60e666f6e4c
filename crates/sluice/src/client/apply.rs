//! `sluice apply` and `sluice diff`: a server made to be as files say, and what that would change.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use reqwest::StatusCode;
use serde_json::{Map, Value};
use similar::TextDiff;

use super::{Connection, ConnectionFlags, Refusal, resources::Resource};
use crate::cli::say;

/// What the server tells of a resource that nobody says in a file.
const STATE: [&str; 6] = ["name", "principal", "created_at", "updated_at", "next_run_at", "seen_versions"];
/// How many lines around a change are shown.
const CONTEXT_LINES: usize = 3;

/// The files.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FilesCommand {
    /// YAML files, or TOML ones that end in .toml
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) connection: ConnectionFlags,
}

impl FilesCommand {
    /// Everything that the files say, each thing once.
    fn resources(&self) -> anyhow::Result<Vec<Resource>> {
        let mut all: Vec<Resource> = Vec::new();
        for file in &self.files {
            for resource in Resource::read(file)? {
                if all.iter().any(|known| (known.kind, &known.name) == (resource.kind, &resource.name)) {
                    bail!("{} says {} again", file.display(), resource.title());
                }
                all.push(resource);
            }
        }
        Ok(all)
    }
}

/// How a resource is on the server, and how it is to be.
struct Change {
    now: Option<Value>,
    then: Value,
}

impl Change {
    fn is_none(&self) -> bool {
        self.now.as_ref() == Some(&self.then)
    }

    fn word(&self) -> &'static str {
        match self.now {
            None => "new",
            Some(_) if self.is_none() => "unchanged",
            Some(_) => "changed",
        }
    }

    /// The lines that differ.
    fn lines(&self) -> anyhow::Result<String> {
        let now = self.now.as_ref().map(serde_saphyr::to_string).transpose()?.unwrap_or_default();
        let then = serde_saphyr::to_string(&self.then)?;
        let diff = TextDiff::from_lines(&now, &then);
        Ok(diff.unified_diff().context_radius(CONTEXT_LINES).to_string())
    }
}

impl Connection {
    /// Make the server as the files say. What reads what another one makes waits for it, in whatever order they stand.
    pub(crate) async fn apply(&self, command: &FilesCommand) -> anyhow::Result<()> {
        self.apply_all(command.resources()?).await
    }

    /// Make the server as these say.
    pub(crate) async fn apply_all(&self, mut waiting: Vec<Resource>) -> anyhow::Result<()> {
        loop {
            let before = waiting.len();
            let mut refused = Vec::new();
            for resource in waiting {
                match self.apply_one(&resource).await {
                    Ok(word) => say(&format!("{}: {word}", resource.title())),
                    Err(error) if is_refused(&error) => refused.push((resource, error)),
                    Err(error) => return Err(error.context(resource.title())),
                }
            }
            if refused.is_empty() {
                return Ok(());
            }
            if refused.len() == before {
                let reasons = refused.iter().map(|(resource, error)| format!("{}: {error:#}", resource.title()));
                bail!("refused:\n{}", reasons.collect::<Vec<_>>().join("\n"));
            }
            waiting = refused.into_iter().map(|(resource, _)| resource).collect();
        }
    }

    async fn apply_one(&self, resource: &Resource) -> anyhow::Result<&'static str> {
        let change = self.change(resource).await?;
        if !change.is_none() {
            self.put(resource, false).await?;
        }
        Ok(change.word())
    }

    /// Show what applying the files would change; ends with 1 where that is anything.
    pub(crate) async fn diff(&self, command: &FilesCommand) -> anyhow::Result<ExitCode> {
        let mut is_same = true;
        for resource in command.resources()? {
            let change = match self.change(&resource).await {
                Ok(change) => change,
                // What it reads may be made by others of the files.
                Err(error) if is_refused(&error) => {
                    say(&format!("{}: refused as things are: {error:#}", resource.title()));
                    is_same = false;
                    continue;
                }
                Err(error) => return Err(error.context(resource.title())),
            };
            is_same &= change.is_none();
            say(&format!("{}: {}", resource.title(), change.word()));
            if !change.is_none() {
                say(change.lines()?.trim_end());
            }
        }
        Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn change(&self, resource: &Resource) -> anyhow::Result<Change> {
        let now = match self.send(self.http.get(self.url_of(resource)?)).await {
            Ok(answer) => Some(said(answer.json().await?)),
            Err(error) if refusal(&error) == Some(StatusCode::NOT_FOUND) => None,
            Err(error) => return Err(error),
        };
        Ok(Change { now, then: said(self.put(resource, true).await?) })
    }

    async fn put(&self, resource: &Resource, is_trial: bool) -> anyhow::Result<Map<String, Value>> {
        let request = self.http.put(self.url_of(resource)?).query(&[("dry_run", is_trial)]).json(&resource.body);
        self.send(request).await?.json().await.context("the server's answer is not JSON")
    }

    fn url_of(&self, resource: &Resource) -> anyhow::Result<reqwest::Url> {
        self.url(&["api", "v1", resource.kind, &resource.name])
    }
}

/// What a file could say of a resource.
fn said(mut told: Map<String, Value>) -> Value {
    told.retain(|field, _| !STATE.contains(&field.as_str()));
    Value::Object(told)
}

fn refusal(error: &anyhow::Error) -> Option<StatusCode> {
    error.downcast_ref::<Refusal>().map(|refusal| refusal.status)
}

/// Whether it is for what the resource says, which may be right once others are there.
fn is_refused(error: &anyhow::Error) -> bool {
    let status = refusal(error);
    [StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY]
        .iter()
        .any(|known| status == Some(*known))
}
