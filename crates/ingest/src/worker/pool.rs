//! Processes that are started before they are needed.
//!
//! Invariant: a process decodes one file and is never used again, so that no file meets what another one left behind.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{
    process::{Program, Worker},
    settings::WorkerSettings,
};

/// How long a process may take to start, on a machine with much else to do.
const STARTING: Duration = Duration::from_secs(20);
/// How many spare processes may turn out to have died while they waited.
const MAX_FOUND_DEAD: usize = 8;

/// The processes that wait for files. A thread of its own starts a new one as soon as one is taken.
pub(super) struct Pool {
    spare: Mutex<Receiver<io::Result<Worker>>>,
}

impl Pool {
    /// With a first process that has started: a program that cannot be run is found out at once.
    pub(super) fn open(settings: &WorkerSettings) -> io::Result<Self> {
        let program = Program::new(settings)?;
        let first = program.start()?;
        let (sender, spare) = sync_channel(settings.spare);
        thread::Builder::new().name("decode-workers".into()).spawn(move || fill(&program, first, &sender))?;
        Ok(Self { spare: Mutex::new(spare) })
    }

    /// A process that waits for its file.
    pub(super) fn take(&self) -> io::Result<Worker> {
        let mut last = None;
        for _ in 0..MAX_FOUND_DEAD {
            match self.next() {
                Ok(worker) if worker.process.is_alive() => return Ok(worker),
                Ok(_) => tracing::warn!("a process that waited for a file to decode has ended"),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(error),
                // It may tell of a start that failed long ago.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("processes that decode do not live")))
    }

    fn next(&self) -> io::Result<Worker> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.recv_timeout(STARTING).unwrap_or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(io::ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => Err(io::Error::other("no more processes are started")),
        })
    }
}

/// Start processes until nobody takes them any more; a failure is for the next one who wants a process.
fn fill(program: &Program, first: Worker, spare: &SyncSender<io::Result<Worker>>) {
    let mut next = Ok(first);
    while spare.send(next).is_ok() {
        next = program.start();
    }
}
