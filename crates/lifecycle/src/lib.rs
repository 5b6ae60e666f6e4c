//! What becomes of data as it grows old: rules, plans made from them, and the runner that does what a plan says.
//!
//! Owns which rule goes before which, and the checks before each step. Never decides how a table commits or how bytes
//! are stored.
//!
//! Invariant: nothing is done that a plan does not name, and each step is checked again right before it.
//! Invariant: what a version of a table that can still be read needs is never archived and never removed.

// What runs as a task holds the planner of a table's operations, whose types are nested deeply.
#![recursion_limit = "256"]

mod error;
mod facts;
mod metrics;
mod settings;

pub mod rules;

mod apply;
mod plan;
mod runner;
mod service;
mod zones;

pub use error::LifecycleError;
pub use facts::{Labels, NoFacts, TableFacts};
pub use metrics::LifecycleMetrics;
pub use plan::bucket_rules;
pub use service::{Lake, Lifecycle, PlanWish};
pub use settings::{LifecycleSettings, ZoneRetention};
pub use zones::ZoneFacts;
