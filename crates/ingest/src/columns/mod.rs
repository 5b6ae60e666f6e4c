//! Columns under construction: values in text or JSON become Arrow arrays of exactly the wanted type.
//!
//! Invariant: a value is stored as it is or refused; nothing is rounded, cut off or guessed.
//! Invariant: what lies in memory is bounded by one record and one batch, whatever the record says.

mod batches;
mod builder;
mod fields;
mod nested;
mod value;

pub(crate) use batches::{BATCH_BYTES, Batches, CELL_BYTES, Counts};
pub(crate) use builder::{Cells, Refused};
pub(crate) use fields::{FieldIndex, Fields};
pub(crate) use nested::{list, object};
pub(crate) use value::Value;
