//! A query's failure on its way from a worker to the server.

use std::error::Error;

use serde::{Deserialize, Serialize};
use sluice_domain::{ErrorKind, Failure, TableRef};

use crate::{Fault, OpenError, QueryError};

/// The longest text about a failure that is sent, in characters.
const MAX_MESSAGE_CHARS: usize = 4_000;

/// A [`QueryError`] as a worker sends it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum SentError {
    Table { table: TableRef, failure: SentFailure },
    Plan { message: String },
    Evaluation { message: String },
    TimedOut { seconds: u64 },
    MemoryExceeded,
    Storage { causes: String },
    Internal { causes: String },
}

/// Any failure: its kind, its code and its text.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SentFailure {
    kind: ErrorKind,
    code: String,
    message: String,
}

impl Failure for SentFailure {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn code(&self) -> &str {
        &self.code
    }
}

impl From<&OpenError> for SentFailure {
    fn from(failure: &OpenError) -> Self {
        let message = match failure.kind() {
            // Not for the caller, and so for the log with all its causes.
            ErrorKind::Internal | ErrorKind::Unavailable => causes(failure),
            _ => cut(&failure.to_string()),
        };
        Self { kind: failure.kind(), code: failure.code().to_owned(), message }
    }
}

impl From<QueryError> for SentError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Table { table, failure } => Self::Table { table, failure: SentFailure::from(&failure) },
            QueryError::Plan { message } => Self::Plan { message },
            QueryError::Evaluation { message } => Self::Evaluation { message },
            QueryError::TimedOut { seconds } => Self::TimedOut { seconds },
            QueryError::MemoryExceeded => Self::MemoryExceeded,
            QueryError::Execution(Fault::Storage(cause)) => Self::Storage { causes: causes(cause.as_ref()) },
            // The server has checked the text already: what else a worker finds wrong with it is a fault.
            error => Self::Internal { causes: causes(&error) },
        }
    }
}

impl From<SentError> for QueryError {
    fn from(error: SentError) -> Self {
        match error {
            SentError::Table { table, failure } => Self::Table { table, failure: OpenError::new(failure) },
            SentError::Plan { message } => Self::Plan { message },
            SentError::Evaluation { message } => Self::Evaluation { message },
            SentError::TimedOut { seconds } => Self::TimedOut { seconds },
            SentError::MemoryExceeded => Self::MemoryExceeded,
            SentError::Storage { causes } => Self::Execution(Fault::Storage(causes.into())),
            SentError::Internal { causes } => Self::Execution(Fault::Internal(causes.into())),
        }
    }
}

/// What an error and all that caused it say.
fn causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    cut(&text)
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn storage() -> QueryError {
        let down = object_store::Error::Generic { store: "S3", source: "connection refused".into() };
        QueryError::fault(down)
    }

    fn no_version() -> QueryError {
        let failure = SentFailure {
            kind: ErrorKind::NotFound,
            code: "no-such-version".into(),
            message: "version 9 does not exist".into(),
        };
        QueryError::Table { table: "shop.orders".parse().unwrap(), failure: OpenError::new(failure) }
    }

    #[rstest]
    #[case(no_version())]
    #[case(QueryError::Plan { message: "no column x".into() })]
    #[case(QueryError::Evaluation { message: "division by zero".into() })]
    #[case(QueryError::TimedOut { seconds: 7 })]
    #[case(QueryError::MemoryExceeded)]
    #[case(storage())]
    #[case(QueryError::fault("a mistake"))]
    fn a_failure_arrives_as_it_was_sent(#[case] error: QueryError) {
        let (kind, code, text) = (error.kind(), error.code().to_owned(), error.to_string());
        let sent = serde_json::to_vec(&SentError::from(error)).unwrap();
        let arrived = QueryError::from(serde_json::from_slice::<SentError>(&sent).unwrap());
        assert_eq!((arrived.kind(), arrived.code(), arrived.to_string()), (kind, code.as_str(), text));
    }

    #[test]
    fn what_a_fault_was_is_for_the_log_only() {
        let arrived = QueryError::from(SentError::from(storage()));
        assert!(!arrived.to_string().contains("refused"));
        assert!(causes(&arrived).contains("connection refused"), "{}", causes(&arrived));
    }
}
