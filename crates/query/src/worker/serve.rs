//! The worker's side: one query after the other, until the server hangs up.

use std::{
    collections::BTreeSet,
    error::Error,
    io::{self, Read, Write},
    sync::{
        Arc,
        mpsc::{Receiver, channel, sync_channel},
    },
    thread,
};

use sluice_domain::TableRef;
use tokio::runtime::Handle;

use super::{
    frame::{read_message, write_message, write_rows},
    message::{Job, Reply, Request},
    rows::RowsWriter,
    sent::SentError,
};
use crate::{
    QueryError, QueryRun, QuerySettings, TableOpener,
    executor::{Executor, Resolved},
    guard,
    place::Place,
    statement,
    stats::Scanned,
};

/// A worker that holds on to more than this after a query is replaced, in bytes.
const WORN_BYTES: u64 = 256 << 20;
/// The unit of the kernel's account of a process, in bytes.
const PAGE_BYTES: u64 = 4096;

/// Answer a server's queries until it hangs up; to be called on a thread where a runtime may be waited for.
///
/// `open` makes what opens tables of what [`crate::WorkerProgram`] was given. `hung_up` ends the process: it is called
/// on another thread, in the middle of whatever runs.
///
/// # Errors
/// What the pipes, the server's messages or the system say where they are unfit.
pub fn serve_worker(
    input: impl Read + Send + 'static,
    output: impl Write,
    open: impl FnOnce(serde_json::Value) -> Result<Arc<dyn TableOpener>, Box<dyn Error + Send + Sync>>,
    hung_up: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let requests = listen(input, hung_up)?;
    let Ok(Request::Open { settings, lake }) = requests.recv() else {
        return Err(io::Error::other("the server did not say what to open"));
    };
    let max_sql_bytes = settings.max_sql_bytes;
    let mut out = io::BufWriter::new(output);
    let executor = match executor(settings, lake, open) {
        Ok(executor) => executor,
        Err(cause) => return write_message(&mut out, &Reply::Failed(QueryError::fault(cause).into())),
    };
    let mut server = Server { out, executor, max_sql_bytes, requests: Handle::current() };
    server.ready(false)?;
    while let Ok(Request::Run(job)) = requests.recv() {
        write_message(&mut server.out, &Reply::Taken)?;
        let (place, ended) = channel::<()>();
        server.answer(job, Arc::new(place))?;
        // Nobody says anything: it ends when the last task of the query lets go of the place.
        let _ = ended.recv();
        server.ready(resident_bytes() > WORN_BYTES)?;
    }
    Ok(())
}

/// Read requests on a thread of its own, so that a hang-up is noticed while a query computes.
fn listen(
    mut input: impl Read + Send + 'static,
    hung_up: impl FnOnce() + Send + 'static,
) -> io::Result<Receiver<Request>> {
    let (sender, requests) = sync_channel(1);
    thread::Builder::new().name("requests".into()).spawn(move || {
        while let Ok(request) = read_message(&mut input) {
            if sender.send(request).is_err() {
                break;
            }
        }
        hung_up();
    })?;
    Ok(requests)
}

fn executor(
    settings: QuerySettings,
    lake: serde_json::Value,
    open: impl FnOnce(serde_json::Value) -> Result<Arc<dyn TableOpener>, Box<dyn Error + Send + Sync>>,
) -> Result<Executor, Box<dyn Error + Send + Sync>> {
    let opener = open(lake)?;
    Ok(Executor::alone(Arc::new(settings), opener)?)
}

/// How much memory this process takes, in bytes; nothing where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = |text: String| text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    std::fs::read_to_string("/proc/self/statm").ok().and_then(pages).map_or(0, |pages| pages * PAGE_BYTES)
}

struct Server<W: Write> {
    out: io::BufWriter<W>,
    executor: Executor,
    max_sql_bytes: usize,
    /// Where requests to stores are made, and what waits for queries.
    requests: Handle,
}

impl<W: Write> Server<W> {
    fn ready(&mut self, worn: bool) -> io::Result<()> {
        write_message(&mut self.out, &Reply::Ready { worn })
    }

    fn answer(&mut self, job: Job, place: Place) -> io::Result<()> {
        let outcome = self.requests.clone().block_on(Box::pin(self.start(job, place)));
        let outcome = match outcome {
            Ok(run) => self.send(run)?,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(run) => write_message(&mut self.out, &Reply::Finished(run.ended())),
            Err(error) => write_message(&mut self.out, &Reply::Failed(SentError::from(error))),
        }
    }

    async fn start(&self, job: Job, place: Place) -> Result<QueryRun, QueryError> {
        let clock = job.clock();
        let tokens = guard::tokenize(&job.sql, self.max_sql_bytes)?;
        let statement = self.executor.engine().plan(async move { statement::parse(tokens) }).await?;
        let known: BTreeSet<TableRef> = {
            let (tables, views) = (job.tables.iter().map(|table| &table.name), job.views.iter().map(|view| &view.name));
            tables.chain(views).cloned().collect()
        };
        let Job { tables, manner, views: wanted, wish, .. } = job;
        let mut views = Vec::with_capacity(wanted.len());
        for view in wanted {
            views.push(view.parse(self.executor.engine(), self.max_sql_bytes).await?);
        }
        for statement in views.iter().map(|view| &view.statement).chain([&statement]) {
            if let Some(stranger) = statement.tables.values().find(|name| !known.contains(*name)) {
                return Err(QueryError::fault(format!("the server did not resolve {stranger}")));
            }
        }
        self.executor.start(Resolved { statement, tables, manner, views, wish }, clock, place).await
    }

    /// Send the rows of a query to its end.
    fn send(&mut self, mut run: QueryRun) -> io::Result<Result<QueryRun, QueryError>> {
        let mut rows = match RowsWriter::new(&run.schema()) {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        write_message(&mut self.out, &Reply::Started { tables: run.tables.clone() })?;
        write_rows(&mut self.out, Scanned::default(), &rows.taken())?;
        loop {
            let pieces = match self.requests.block_on(run.next_batch()) {
                Ok(None) => return Ok(Ok(run)),
                Ok(Some(batch)) => rows.encode(&batch),
                Err(error) => Err(error),
            };
            let pieces = match pieces {
                Ok(pieces) => pieces,
                Err(error) => return Ok(Err(error)),
            };
            for piece in pieces {
                write_rows(&mut self.out, run.ended().scanned, &piece)?;
            }
        }
    }
}
