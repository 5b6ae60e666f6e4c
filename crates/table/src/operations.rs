//! What is done to a table beside appending to it. Each operation is prepared on a snapshot, which writes files that
//! no version holds, and then committed, which happens wholly or not at all.
//!
//! Invariant: a commit that others made in between either leaves the outcome right, or the operation starts over.
//! Invariant: data files are read and written one after the other, in bounded memory.

mod apply;
mod compact;
mod copy;
mod delete;
mod digest;
mod evolve;
mod expire;
mod merge;
mod overwrite;
mod predicate;
mod prune;
mod replace;
mod schema_change;
mod sink;
mod z_order;

pub(crate) use predicate::Predicate;

pub use apply::{Applied, Operation, Rewrite, RowChanges, Workspace};
pub use compact::Compact;
pub(crate) use compact::by_partition;
pub use delete::Delete;
pub use evolve::Evolve;
pub use expire::Expire;
pub use merge::{DeleteMarker, History, Keep, Matched, Merge, MergeRule, Source, SourceWriter, history_columns};
pub use overwrite::Overwrite;
pub use replace::Replace;
pub use schema_change::SchemaChange;
pub use z_order::ZOrder;
