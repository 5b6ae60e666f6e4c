//! Queries as callers send them.

mod files;
mod killers;
mod lake;
mod reading;
mod refusals;
