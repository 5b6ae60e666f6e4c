//! The commit engine: what a commit does becomes one entry of the Delta log, put if absent at the next version.
//!
//! Invariant: an entry that removes a file that is not live, or whose files do not fit the table, is not written.
//! Invariant: a failure is answered only when the log was read and the commit was not in it; where that cannot be
//! told, the answer says so.

pub(crate) mod change;
pub(crate) mod commit;
pub(crate) mod entry;
pub(crate) mod guard;
mod paths;
pub(crate) mod state;
