//! The threads that plan and run queries.
//!
//! They are not the server's own: a query that computes for long must not keep a health check waiting. Their stacks
//! are deep: the engine walks statements recursively, and the guards are set by what these stacks can hold.

use std::{future::Future, io, time::Duration};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinHandle,
    time::timeout,
};

use crate::QueryError;

/// The stack of each thread; only what is used takes memory.
pub(crate) const STACK_BYTES: usize = 64 << 20;
/// Threads of one query besides the planning one, for blocking reads and writes of spilled data.
const SPILL_THREADS: usize = 4;
/// How long a statement may be parsed, and how long planned.
const PLANNING_SECONDS: u64 = 10;

/// A runtime that ends with its owner, without waiting for what still runs.
#[derive(Debug)]
pub(crate) struct Engine {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Engine {
    /// Start so many threads, for this many queries at once.
    pub(crate) fn start(concurrency: usize, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("query")
            .worker_threads(threads.max(1))
            .thread_stack_size(STACK_BYTES)
            .max_blocking_threads(concurrency.saturating_mul(1 + SPILL_THREADS))
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Run a step of planning on a thread of its own.
    ///
    /// A step that does not end in time is left alone, with what it holds, until it ends.
    pub(crate) async fn plan<T: Send + 'static>(
        &self,
        step: impl Future<Output = Result<T, QueryError>> + Send + 'static,
    ) -> Result<T, QueryError> {
        let handle = self.handle.clone();
        let step = self.handle.spawn_blocking(move || handle.block_on(step));
        match timeout(Duration::from_secs(PLANNING_SECONDS), step).await {
            Ok(Ok(result)) => result,
            Ok(Err(died)) => Err(QueryError::fault(died)),
            Err(_) => Err(QueryError::TimedOut { seconds: PLANNING_SECONDS }),
        }
    }

    /// Run a task on the query threads.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.handle.spawn(task)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
