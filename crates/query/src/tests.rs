//! Queries as callers send them.

mod failing;
mod files;
mod killers;
mod lake;
mod reading;
mod refusals;
mod statements;
