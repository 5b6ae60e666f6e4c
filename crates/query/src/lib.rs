//! Read-only SQL over the tables of the catalog: sessions, dialect, limits, results.
//!
//! Owns what a query may say and what it may use up. Never finds a table itself (see [`TableResolver`]), never writes.
//!
//! Invariant: a statement is planned only after its text and its syntax tree have passed the guards.
//! Invariant: a query sees the tables that it names, as its caller may see them, and nothing else.
//! Invariant: whatever a query does to the process that it runs in, the server goes on.
//! Invariant: every query ends by its deadline and holds one of a fixed number of places until it has ended.

mod error;
mod fault;
mod settings;
mod source;

mod dialect;
mod expansion;
mod guard;
mod series;
mod statement;
mod types;
mod view_statement;
mod views;

mod engine;
mod executor;
mod functions;
mod increment;
mod interruption;
mod lineage;
mod place;
mod planner;
mod position;
mod redaction;
mod session;
mod store;

mod output;
mod run;
mod service;
mod stats;
mod worker;

#[cfg(test)]
mod tests;

pub use error::QueryError;
pub use fault::Fault;
pub use output::{OutputFormat, RowWriter};
pub use position::{Position, position_of};
pub use run::QueryRun;
pub use service::{Described, QueryRequest, QueryService, RowLimit};
pub use settings::{Isolation, QuerySettings};
pub use source::{Extent, OpenError, OpenedTable, TableAddress, TableOpener, TableResolver, ViewText};
pub use stats::QueryStats;
pub use store::RoutedStore;
pub use view_statement::ViewStatement;
pub use worker::{WorkerProgram, serve_worker};
