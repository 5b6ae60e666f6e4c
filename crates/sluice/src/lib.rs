//! The `sluice` binary: command line, settings, wiring, telemetry, shutdown.
//!
//! Owns which parts there are and how they are put together; alone reads the environment. A library so that the tests
//! can start the same server in their own process.

mod allocator;
mod catalog;
mod cli;
mod client;
mod connections;
mod decode_worker;
mod demo;
mod housekeeping;
mod integrity;
mod lake;
mod metrics;
mod query_worker;
mod server;
mod settings;
mod telemetry;

pub use cli::Cli;
pub use connections::ConnectionSettings;
pub use server::Server;
pub use settings::{Flags, LogFormat, LogSettings, Settings};
