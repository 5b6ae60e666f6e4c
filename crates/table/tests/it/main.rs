//! Tables through their public interface, against an independent replay of the log.

mod appends;
mod fault_store;
mod faults;
mod hostile;
mod lake;
mod matrix;
mod merges;
mod rewrites;
mod schemas;
