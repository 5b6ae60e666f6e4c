//! Tables through their public interface, against an independent replay of the log.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's own function cannot do is the failure of the test"
)]

mod appends;
mod evolution;
mod fault_store;
mod faults;
mod histories;
mod hostile;
mod increments;
mod lake;
mod layouts;
mod matrix;
mod merge_model;
mod merges;
mod offsets;
mod rewrites;
mod schemas;
