//! Suites of rules over rows: what each kind asks, what came of it, scores and profiles.
//!
//! Owns the table of kinds, and everything that is counted over record batches. Never does I/O and reads no clock: what
//! a rule needs of elsewhere is handed to it.
//!
//! Invariant: rows are seen once, in bounded memory; a rule that would need more says so instead of guessing.
//! Invariant: a rule that cannot be asked is recorded as failed, and the others go on.

mod value;

mod arguments;
mod budget;
mod cells;
mod expectation;
mod setting;

mod kinds;
mod queries;

mod evaluation;
mod suite;

mod great_expectations;
mod views;

mod profile;

pub use budget::MAX_STATE_BYTES;
pub use evaluation::{Evaluation, Scope, SetAside};
pub use great_expectations::export;
pub use kinds::{kind_names, needs};
pub use profile::{ColumnProfile, Frequent, NumericProfile, Profile, ProfileLimits, Profiler, TextProfile, propose};
pub use queries::{Answers, QueryAnswer, TableQuery, queries};
pub use setting::{Conditions, MAX_REFERENCE_KEYS, Needs, OtherTable, References, RowCondition, Setting};
pub use suite::{check_against, parse_suite};
pub use value::{Limit, ValueCheck};
pub use views::{ViewFormat, view};
