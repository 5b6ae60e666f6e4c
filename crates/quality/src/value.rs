//! What must be true of single values, in the units of their column.

mod bound;
mod check;

pub use check::{Limit, ValueCheck};
