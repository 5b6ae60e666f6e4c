//! What kinds of failure exist, for every crate's own error enum to name.

use std::error::Error;

/// The wait for what is busy or away, in seconds: it may be over at any moment.
const SOON_SECONDS: u32 = 1;
/// The wait for space, in seconds: somebody has to make it.
const SPACE_SECONDS: u32 = 60;

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
    /// The same request is under way; its outcome can be asked for in a moment.
    InProgress,
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

    /// How long a caller should wait before it tries again, in seconds; none where waiting alone does not help.
    fn retry_after_seconds(&self) -> Option<u32> {
        match self.kind() {
            ErrorKind::InProgress | ErrorKind::TooMany => Some(SOON_SECONDS),
            ErrorKind::Unavailable => Some(find_open_circuit(self.source()).map_or(SOON_SECONDS, |open| open.seconds)),
            ErrorKind::OutOfSpace => Some(SPACE_SECONDS),
            _ => None,
        }
    }
}

/// Something that failed again and again and is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker of {service} is open; it is tried again in {seconds} s")]
pub struct CircuitOpen {
    /// What is left alone.
    pub service: String,
    /// For how long still, in seconds.
    pub seconds: u32,
}

fn find_open_circuit<'a>(mut cause: Option<&'a (dyn Error + 'static)>) -> Option<&'a CircuitOpen> {
    while let Some(error) = cause {
        if let Some(open) = error.downcast_ref() {
            return Some(open);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Failed(ErrorKind, #[source] Box<dyn Error + Send + Sync>);

    impl Failure for Failed {
        fn kind(&self) -> ErrorKind {
            self.0
        }

        fn code(&self) -> &'static str {
            "failed"
        }
    }

    fn wait(kind: ErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Option<u32> {
        Failed(kind, cause.into()).retry_after_seconds()
    }

    #[test]
    fn who_can_come_again_is_told_when() {
        assert_eq!(wait(ErrorKind::Unavailable, "down"), Some(SOON_SECONDS));
        assert_eq!(wait(ErrorKind::OutOfSpace, "full"), Some(SPACE_SECONDS));
        assert_eq!(wait(ErrorKind::InProgress, "busy"), Some(SOON_SECONDS));
        assert_eq!(wait(ErrorKind::Conflict, "taken"), None);
    }

    #[test]
    fn an_open_circuit_below_tells_how_long_it_will_be() {
        let open = CircuitOpen { service: "s3".into(), seconds: 42 };
        let below = Failed(ErrorKind::Internal, Box::new(open));
        assert_eq!(wait(ErrorKind::Unavailable, below), Some(42));
    }
}
