//! Maintenance of tables whose logs are written here by hand, judged by what `delta-rs` then reads.

mod checkpoints;
mod faults;
mod hand_made;
mod log_cleanup;
mod orphans;
mod repair;
mod vacuum;
