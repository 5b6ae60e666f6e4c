//! What is said in frames that hold messages.

use arrow::datatypes::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use sluice_domain::ReadOptions;

use crate::{DecodeError, formats::Inferred, limits::DecodeLimits};

/// The version of what is said: a process of another one is not given a file.
pub(super) const PROTOCOL: u64 = 2;

/// What is to be done with a file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) options: ReadOptions,
    pub(super) limits: DecodeLimits,
    /// The length of a file that is read from its end.
    pub(super) size_bytes: u64,
    /// What its rows must look like; none if that is to be found out.
    pub(super) schema: Option<Schema>,
}

/// What a file turned out to hold.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Found {
    schema: Schema,
    rows: u64,
    first_bad: Option<DecodeError>,
}

impl From<Inferred> for Found {
    fn from(inferred: Inferred) -> Self {
        let Inferred { schema, rows, first_bad } = inferred;
        Self { schema: schema.as_ref().clone(), rows, first_bad }
    }
}

impl From<Found> for Inferred {
    fn from(found: Found) -> Self {
        let Found { schema, rows, first_bad } = found;
        Self { schema: SchemaRef::new(schema), rows, first_bad }
    }
}
