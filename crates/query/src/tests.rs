//! Queries as callers send them.

mod killers;
mod lake;
mod reading;
mod refusals;
