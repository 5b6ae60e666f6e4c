//! One worker, as the server sees it.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::BufReader,
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{
    frame::{self, Frame},
    last_words,
    message::{Reply, Request},
};
use crate::{QueryError, QuerySettings};

/// How long a worker may take to start.
const STARTING: Duration = Duration::from_secs(20);
/// How long a killed process may take to be gone.
const DYING: Duration = Duration::from_secs(10);

/// The program that runs queries, which calls [`crate::serve_worker`].
pub struct WorkerProgram {
    /// Its file.
    pub program: PathBuf,
    /// Its arguments: for everybody on the machine to read.
    pub arguments: Vec<OsString>,
    /// Its environment, likewise; it gets nothing of the server's.
    pub environment: Vec<(OsString, OsString)>,
    /// What it needs to open tables, secrets included: it comes through a pipe.
    pub lake: serde_json::Value,
}

impl WorkerProgram {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.arg0("sluice").args(&self.arguments).env_clear().envs(environment).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: what is typed at the server's terminal is not for it.
        command.process_group(0).kill_on_drop(true);
        command
    }
}

/// A process that runs one query at a time. Dropping it kills it.
pub(crate) struct Worker {
    process: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
    last_words: JoinHandle<String>,
    spill_dir: PathBuf,
}

fn no_pipe() -> io::Error {
    io::Error::other("a process has no pipe")
}

impl Worker {
    /// Start a worker that spills into a folder of its own, and wait until it is ready.
    pub(crate) async fn start(
        program: &WorkerProgram,
        settings: &QuerySettings,
        spill_dir: PathBuf,
    ) -> Result<Self, QueryError> {
        std::fs::create_dir_all(&spill_dir).map_err(QueryError::fault)?;
        let mut worker = Self::spawn(program, spill_dir).map_err(QueryError::fault)?;
        let settings = QuerySettings {
            concurrency: 1,
            threads: Some(settings.worker_threads()),
            spill_dir: Some(worker.spill_dir.clone()),
            ..settings.clone()
        };
        let open = Request::Open { settings, lake: program.lake.clone() };
        let ready = async {
            worker.send(&open).await?;
            worker.reply().await
        };
        match timeout(STARTING, ready).await {
            Ok(Ok(Reply::Ready { .. })) => Ok(worker),
            Ok(Ok(Reply::Failed(error))) => Err(error.into()),
            Ok(Ok(other)) => Err(QueryError::fault(format!("a worker began with {other:?}"))),
            Ok(Err(lost)) => Err(worker.end(lost).await),
            Err(_) => Err(QueryError::fault("a worker did not start in time")),
        }
    }

    fn spawn(program: &WorkerProgram, spill_dir: PathBuf) -> io::Result<Self> {
        let mut process = program.command().spawn()?;
        Ok(Self {
            requests: process.stdin.take().ok_or_else(no_pipe)?,
            replies: BufReader::new(process.stdout.take().ok_or_else(no_pipe)?),
            last_words: tokio::spawn(last_words::read(process.stderr.take().ok_or_else(no_pipe)?)),
            process,
            spill_dir,
        })
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Hand over a query, and wait until it is taken.
    pub(crate) async fn begin(&mut self, query: &Request) -> io::Result<()> {
        self.send(query).await?;
        match self.reply().await? {
            Reply::Taken => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a query was not taken")),
        }
    }

    async fn send(&mut self, request: &Request) -> io::Result<()> {
        frame::send_message(&mut self.requests, request).await
    }

    pub(crate) async fn receive(&mut self) -> io::Result<Frame> {
        frame::receive(&mut self.replies).await
    }

    /// The next frame, which must be a message.
    pub(crate) async fn reply(&mut self) -> io::Result<Reply> {
        match self.receive().await? {
            Frame::Message(message) => frame::decode(&message),
            Frame::Rows(..) => Err(io::Error::new(io::ErrorKind::InvalidData, "rows came where none were due")),
        }
    }

    /// Make sure that it has ended and nothing of it is left, and say why its query has no answer.
    pub(crate) async fn end(&mut self, lost: io::Error) -> QueryError {
        // What has closed its pipe ends by itself; what sent nonsense must be made to.
        let status = match lost.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => timeout(DYING, self.process.wait()).await.ok(),
            _ => None,
        };
        let status: Option<ExitStatus> = status.and_then(Result::ok);
        self.kill().await;
        let words = (&mut self.last_words).await.unwrap_or_default();
        tracing::warn!(error = %lost, ?status, last_words = words.trim_end(), "a query worker was lost");
        last_words::verdict(status, &words)
    }

    /// Kill it, wait until it is gone, and remove what it spilled.
    pub(crate) async fn kill(&mut self) {
        if self.is_alive() {
            let killed = timeout(DYING, self.process.kill()).await;
            if !matches!(killed, Ok(Ok(()))) {
                tracing::warn!(outcome = ?killed, "a query worker could not be killed");
            }
        }
        remove(&self.spill_dir).await;
    }
}

async fn remove(folder: &Path) {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, folder = %folder.display(), "what a query spilled could not be removed");
        }
        _ => {}
    }
}
