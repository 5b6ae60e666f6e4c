//! What becomes of a table's schema: by the columns of an upload, and by declaration.

mod declare;
mod error;
mod reconcile;

pub use declare::{Declaration, DeclaredColumn};
pub use error::SchemaError;
pub use reconcile::{FileColumns, Reconciled, TableColumns, reconcile};
