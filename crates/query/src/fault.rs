//! Faults that are not the caller's: which of them pass.

use std::{error::Error, io, sync::Arc};

use object_store::Error as StoreError;
use sluice_domain::ErrorKind;

use crate::store::OutOfReach;

type Cause = Box<dyn Error + Send + Sync>;

/// A fault of the server or of what it reads from.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store of the tables' files does not answer as it should: try again later.
    #[error("the files of the tables cannot be read now; try again later")]
    Storage(#[source] Cause),
    /// Anything else, a file that is missing included.
    #[error("the query failed")]
    Internal(#[source] Cause),
}

impl Fault {
    /// Tell by the causes of a failure which fault it is.
    pub(crate) fn of(cause: impl Into<Cause>) -> Self {
        let cause = cause.into();
        if is_of_storage(cause.as_ref()) { Self::Storage(cause) } else { Self::Internal(cause) }
    }

    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Storage(_) => ErrorKind::Unavailable,
            Self::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Its stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Storage(_) => "storage-unavailable",
            Self::Internal(_) => "query-failed",
        }
    }
}

/// Whether a store's failure that may pass is among the causes of a failure.
pub(crate) fn is_of_storage(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = store_error(error) {
        return may_pass(error);
    }
    // A wrapped error is not the source of its wrapper here, but its source is.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => is_of_storage(wrapped),
        None => error.source().is_some_and(is_of_storage),
    }
}

fn store_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
    let boxed = || error.downcast_ref::<Box<StoreError>>().map(AsRef::as_ref);
    let shared = || error.downcast_ref::<Arc<StoreError>>().map(AsRef::as_ref);
    error.downcast_ref().or_else(boxed).or_else(shared)
}

fn may_pass(error: &StoreError) -> bool {
    match error {
        StoreError::NotFound { .. } => false,
        StoreError::PermissionDenied { source, .. } => !source.is::<OutOfReach>(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use arrow::error::ArrowError;
    use datafusion::error::DataFusionError;
    use rstest::rstest;

    use super::*;

    fn down() -> StoreError {
        StoreError::Generic { store: "S3", source: "connection refused".into() }
    }

    fn missing() -> StoreError {
        StoreError::NotFound { path: "x".into(), source: "gone".into() }
    }

    #[rstest]
    #[case(down().into(), true)]
    #[case(missing().into(), false)]
    #[case(DataFusionError::from(down()).context("while it read").into(), true)]
    #[case(DataFusionError::External(Box::new(missing())).into(), false)]
    #[case(DataFusionError::Shared(Arc::new(down().into())).into(), true)]
    #[case(ArrowError::ExternalError(Box::new(down())).into(), true)]
    #[case(DataFusionError::IoError(io::Error::other(down())).into(), true)]
    #[case(DataFusionError::External(Box::new(io::Error::other(missing()))).into(), false)]
    #[case(DataFusionError::Internal("a mistake".into()).into(), false)]
    fn only_a_store_that_fails_is_worth_another_try(#[case] cause: Cause, #[case] passes: bool) {
        assert_eq!(Fault::of(cause).kind() == ErrorKind::Unavailable, passes);
    }
}
