//! Queries in processes of their own.
//!
//! The server resolves names and rights, and hands over a text with the addresses of its tables; a worker opens these,
//! plans, runs, and sends the rows back through a pipe. Workers are kept warm and run one query at a time.
//!
//! Invariant: a worker opens no table that the server did not resolve.
//! Invariant: a worker whose query was dropped, is late or broke the worker is killed, and its place is free once it
//! is gone.
//! Invariant: a worker ends when its server does, however that ends.

mod frame;
mod message;
mod rows;
mod sent;

mod serve;

mod last_words;
mod lease;
mod pool;
mod process;
mod remote;

pub(crate) use message::Job;
pub(crate) use pool::Pool;
pub use process::WorkerProgram;
pub use serve::serve_worker;
