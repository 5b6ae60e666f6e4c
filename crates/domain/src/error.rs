//! What kinds of failure exist, for every crate's own error enum to name.

use std::error::Error;

/// What a caller can do about a failure. The HTTP layer alone turns this into a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The thing named does not exist.
    NotFound,
    /// The thing to be made exists already.
    AlreadyExists,
    /// The request does not fit the present state; it may fit later.
    Conflict,
    /// The request cannot be understood at all.
    Malformed,
    /// The request is understood, but what it carries is not acceptable.
    Invalid,
    /// The encoding or format of the content is not one that is read here.
    Unsupported,
    /// The caller is not known.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// The content is larger than the limit.
    TooLarge,
    /// The caller was too slow.
    TimedOut,
    /// There is more work than the server takes on; try again later.
    TooMany,
    /// There is no space left; try again when there is.
    OutOfSpace,
    /// Something the server depends on does not answer; try again later.
    Unavailable,
    /// A fault of the server.
    Internal,
}

/// A failure with a kind and a code that stays the same across releases.
pub trait Failure: Error + Send + Sync + 'static {
    /// What the caller can do about it.
    fn kind(&self) -> ErrorKind;

    /// A stable kebab-case name of this failure, the last part of the problem's `type`.
    fn code(&self) -> &str;
}
