//! Maintenance of a table: checkpoints, clean-up of the log, vacuum, orphans.
//!
//! Changes what readers need to know the table by, and removes what no reader needs. Never changes a row.
//!
//! Invariant: whatever changes something takes a lease, and asks it right before what cannot be undone.
//! Invariant: a checkpoint counts only after an independent replay of the log agreed with what the store gives back.
//! Invariant: the log is read here by code that shares nothing with the library that writes the checkpoints.

mod error;
mod settings;

mod actions;
pub(crate) mod log;
mod replay;

mod checkpoint;
mod overlay;
mod repair;

mod log_cleanup;

mod data_files;
mod orphans;
mod references;
mod vacuum;

#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use error::MaintenanceError;
pub use log_cleanup::CleanedLog;
pub use orphans::{Orphan, OrphanPage, OrphanSearch};
pub use repair::BadCheckpoint;
pub use settings::{LogRetention, MaintenanceSettings, VacuumRetention, wants_checkpoint};
pub use vacuum::Vacuumed;
