//! What can go wrong with an object store, and what the caller can do about it.

use std::{error::Error, io};

use object_store::Error as StoreError;
use sluice_domain::{CircuitOpen, ErrorKind, Failure};

use crate::breaker::find_open_circuit;

/// A failure of this crate. No message carries a credential.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The configuration names a place that cannot be a zone.
    #[error("the location {location} cannot be used: {reason}")]
    BadLocation {
        /// The location, without user information and query.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store does not keep the first of two writers of one name, so no commit would be safe in it.
    #[error("the location {location} has no put-if-absent: {reason}")]
    NoPutIfAbsent {
        /// The zone's URL.
        location: String,
        /// What the store did instead.
        reason: String,
    },
    /// There is no object of this name.
    #[error("there is no object at {path}")]
    NotFound {
        /// The object's path in its store.
        path: String,
    },
    /// The object was to be made, and exists.
    #[error("there is an object at {path} already")]
    AlreadyExists {
        /// The object's path in its store.
        path: String,
    },
    /// The object is not as long as it was when it was written.
    #[error("the object at {path} has {found_bytes} bytes, not {expected_bytes}")]
    WrongSize {
        /// The object's path in its store.
        path: String,
        /// The size it was written with.
        expected_bytes: u64,
        /// The size it has.
        found_bytes: u64,
    },
    /// There is no space left.
    #[error("the storage is full")]
    Full,
    /// The store refuses the request whatever the number of tries: access rights, an unsupported operation.
    #[error("the storage refuses the request")]
    Refused {
        /// What the store said.
        source: StoreError,
    },
    /// The store failed again and again, and is left alone for a while.
    #[error("the storage is not available: {source}")]
    CircuitOpen {
        /// Which store, and for how long.
        source: CircuitOpen,
    },
    /// The store does not answer as it should; a later try may succeed.
    #[error("the storage is not available")]
    Unavailable {
        /// What the store said.
        source: StoreError,
    },
}

impl Failure for StorageError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::BadLocation { .. } | Self::NoPutIfAbsent { .. } => ErrorKind::Invalid,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::WrongSize { .. } | Self::Refused { .. } => ErrorKind::Internal,
            Self::Full => ErrorKind::OutOfSpace,
            Self::CircuitOpen { .. } | Self::Unavailable { .. } => ErrorKind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadLocation { .. } => "bad-location",
            Self::NoPutIfAbsent { .. } => "no-put-if-absent",
            Self::NotFound { .. } => "object-not-found",
            Self::AlreadyExists { .. } => "object-already-exists",
            Self::WrongSize { .. } => "object-wrong-size",
            Self::Full => "storage-full",
            Self::Refused { .. } => "storage-refused",
            Self::CircuitOpen { .. } | Self::Unavailable { .. } => "storage-unavailable",
        }
    }
}

impl From<StoreError> for StorageError {
    fn from(source: StoreError) -> Self {
        match source {
            StoreError::NotFound { path, .. } => Self::NotFound { path },
            StoreError::AlreadyExists { path, .. } => Self::AlreadyExists { path },
            StoreError::PermissionDenied { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::InvalidPath { .. }
            | StoreError::NotSupported { .. }
            | StoreError::NotImplemented { .. }
            | StoreError::UnknownConfigurationKey { .. } => Self::Refused { source },
            source if is_full(&source) => Self::Full,
            source => match find_open_circuit(&source) {
                Some(open) => Self::CircuitOpen { source: open.clone() },
                None => Self::Unavailable { source },
            },
        }
    }
}

/// Whether an error anywhere below says that the disk or the quota has no room.
pub fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> StoreError {
        StoreError::Generic { store: "test", source: Box::new(io::Error::from(kind)) }
    }

    #[test]
    fn a_full_disk_is_told_from_an_unavailable_store() {
        assert_eq!(StorageError::from(generic(io::ErrorKind::StorageFull)).code(), "storage-full");
        assert_eq!(StorageError::from(generic(io::ErrorKind::QuotaExceeded)).code(), "storage-full");
        assert_eq!(StorageError::from(generic(io::ErrorKind::TimedOut)).code(), "storage-unavailable");
    }

    #[test]
    fn an_input_output_error_of_the_disk_may_pass() {
        let error =
            StorageError::from(generic(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()).kind()));
        assert_eq!((error.kind(), error.retry_after_seconds()), (ErrorKind::Unavailable, Some(1)));
    }

    #[test]
    fn an_open_circuit_tells_when_to_come_again() {
        let open = CircuitOpen { service: "s3".into(), seconds: 42 };
        let error = StorageError::from(StoreError::Generic { store: "test", source: Box::new(open) });
        assert_eq!((error.code(), error.retry_after_seconds()), ("storage-unavailable", Some(42)));
        assert!(error.to_string().contains("circuit breaker of s3 is open"), "{error}");
    }

    #[test]
    fn a_missing_object_is_not_found() {
        let source = StoreError::NotFound { path: "a/b".into(), source: "gone".into() };
        assert_eq!(StorageError::from(source).kind(), ErrorKind::NotFound);
    }
}
