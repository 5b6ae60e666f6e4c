//! Why a query has no answer.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use sluice_domain::{ErrorKind, Failure, TableRef};

use crate::{Fault, OpenError, fault::is_of_storage, position::placed, redaction::Redaction};

/// A query that has no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not SQL: correct it.
    #[error("the text is not a statement that can be read: {message}")]
    Syntax {
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// The statement would change something: only reading is possible here.
    #[error("only one SELECT, or EXPLAIN of one, can be run here, not {statement}")]
    NotReadOnly {
        /// What it is, by its first word.
        statement: String,
    },
    /// The statement is larger than what is planned here: split it.
    #[error("the query has more {what} than the {limit} that are accepted")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// How much is accepted.
        limit: u64,
    },
    /// A table could not be opened.
    #[error("table {table}: {failure}")]
    Table {
        /// Which.
        table: TableRef,
        /// Why.
        #[source]
        failure: OpenError,
    },
    /// The statement does not fit the tables or uses what is not supported: correct it.
    #[error("the query cannot be planned: {message}")]
    Plan {
        /// What does not fit.
        message: String,
    },
    /// The values do not allow the computation (a division by zero, a failed cast): correct the query.
    #[error("the query failed on a value: {message}")]
    Evaluation {
        /// What could not be computed.
        message: String,
    },
    /// The query took too long: ask for less.
    #[error("the query did not end within {seconds} s")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The query needs more memory or spill space than one may have: ask for less.
    #[error("the query needs more memory or disk than one query may use")]
    MemoryExceeded,
    /// Too many queries run and wait: try again later.
    #[error("too many queries are running and waiting; try again later")]
    Busy,
    /// A fault of the server or of what it reads from.
    #[error(transparent)]
    Execution(Fault),
}

impl Failure for QueryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Syntax { .. } => ErrorKind::Malformed,
            Self::NotReadOnly { .. } => ErrorKind::Forbidden,
            Self::TooComplex { .. } | Self::Plan { .. } | Self::Evaluation { .. } | Self::MemoryExceeded => {
                ErrorKind::Invalid
            }
            Self::Table { failure, .. } => failure.kind(),
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Busy => ErrorKind::TooMany,
            Self::Execution(fault) => fault.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Syntax { .. } => "invalid-sql",
            Self::NotReadOnly { .. } => "not-read-only",
            Self::TooComplex { .. } => "query-too-complex",
            Self::Table { failure, .. } => failure.code(),
            Self::Plan { .. } => "invalid-query",
            Self::Evaluation { .. } => "query-evaluation-failed",
            Self::TimedOut { .. } => "query-timeout",
            Self::MemoryExceeded => "query-memory-exceeded",
            Self::Busy => "too-many-queries",
            Self::Execution(fault) => fault.code(),
        }
    }
}

impl QueryError {
    /// A failure that is not the caller's.
    pub(crate) fn fault(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Execution(Fault::of(cause))
    }

    /// What a failure of the engine while planning means for the caller.
    pub(crate) fn planning(error: DataFusionError, redaction: &Redaction) -> Self {
        match blame(&error) {
            Blame::Limits => Self::MemoryExceeded,
            Blame::Caller => Self::Plan { message: placed(&error, redaction.message(&error)) },
            Blame::Server => Self::fault(error),
        }
    }

    /// What a failure of the engine while running means for the caller.
    pub(crate) fn running(error: DataFusionError, redaction: &Redaction) -> Self {
        match blame(&error) {
            Blame::Limits => Self::MemoryExceeded,
            Blame::Caller => Self::Evaluation { message: redaction.message(&error) },
            Blame::Server => Self::fault(error),
        }
    }
}

/// What the scan says where a condition that was pushed into it cannot be evaluated.
const FILTER_FAILED: &str = "Error evaluating filter predicate";

enum Blame {
    Caller,
    Limits,
    Server,
}

fn blame(error: &DataFusionError) -> Blame {
    match blame_of_engine(error) {
        _ if is_of_storage(error) => Blame::Server,
        // What a condition says of a value comes out of the scan that it was pushed into as a text.
        Blame::Server if error.to_string().contains(FILTER_FAILED) => Blame::Caller,
        blame => blame,
    }
}

fn blame_of_engine(error: &DataFusionError) -> Blame {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => blame_of_engine(inner),
        DataFusionError::Shared(inner) => blame_of_engine(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(Blame::Server, blame_of_engine),
        DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => blame_of_engine(inner),
            None => inner.downcast_ref::<ArrowError>().map_or(Blame::Server, blame_of_values),
        },
        DataFusionError::ArrowError(inner, _) => blame_of_values(inner),
        DataFusionError::ResourcesExhausted(_) => Blame::Limits,
        DataFusionError::IoError(error) if error.kind() == std::io::ErrorKind::OutOfMemory => Blame::Limits,
        // The engine takes a pattern that cannot be compiled, or only to more than is allowed, for its own mistake.
        DataFusionError::Internal(message) if message.contains("Regular expression did not compile") => Blame::Caller,
        DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Execution(_) => Blame::Caller,
        _ => Blame::Server,
    }
}

fn blame_of_values(error: &ArrowError) -> Blame {
    match error {
        ArrowError::CastError(_)
        | ArrowError::ParseError(_)
        | ArrowError::ComputeError(_)
        | ArrowError::DivideByZero
        | ArrowError::ArithmeticOverflow(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::NotYetImplemented(_) => Blame::Caller,
        // The engine has no other sign of a query that has spilled all it may.
        ArrowError::IoError(message, _) if message.contains("max_temp_directory_size") => Blame::Limits,
        ArrowError::ExternalError(inner) => {
            inner.downcast_ref::<DataFusionError>().map_or(Blame::Server, blame_of_engine)
        }
        _ => Blame::Server,
    }
}
