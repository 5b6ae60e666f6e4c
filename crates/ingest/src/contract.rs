//! What becomes of a table's schema: by the columns of an upload, and by declaration.

mod admission;
mod brought;
mod compatibility;
mod declare;
mod error;
mod gate;
mod reconcile;

pub(crate) use admission::Admission;
pub(crate) use gate::{Gate, Passed};

pub use compatibility::{Compatibility, DoubtfulColumn};
pub use declare::{Declaration, DeclaredColumn};
pub use error::{ContractBreach, SchemaError};
