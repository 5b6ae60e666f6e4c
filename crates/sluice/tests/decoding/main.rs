//! Files decoded in processes of their own, through the program itself: what they do there, and what is left of it.

#![expect(clippy::unwrap_used, reason = "what a test's own function cannot do is the failure of the test")]

mod corpus;
mod damaged;
mod parquet_bytes;
mod processes;
mod server;
mod text;

mod hostile;
mod lifecycle;
