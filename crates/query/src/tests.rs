//! Queries as callers send them.

mod describing;
mod failing;
mod files;
mod increments;
mod killers;
mod lake;
mod lineage;
mod reading;
mod refusals;
mod statements;
