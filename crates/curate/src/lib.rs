//! Pipelines: curated tables that are made of others by SQL, and the runs that make them.
//!
//! Owns what a pipeline may be, when it runs, and what becomes of a run. Rows come from the query service and go through
//! the writer and the commits of the table crate; this crate neither plans a statement nor writes a log.
//!
//! Invariant: a run is in its target once, or not at all, whenever whatever ends.
//! Invariant: a pipeline has one run at a time.
//! Invariant: a pipeline is saved only after its statement was planned against the tables of the moment.

mod error;
mod settings;

mod service;
mod shape;

mod attempt;
mod commit;
mod flows;
mod foresight;
mod gate;
mod incremental;
mod intervals;
mod rows;

mod backfill;
mod run;
mod schedule;

mod views;

pub use error::CurateError;
pub use gate::Suites;
pub use service::{Curate, Lake, LogCheck};
pub use settings::CurateSettings;
