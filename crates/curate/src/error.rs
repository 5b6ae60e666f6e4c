//! Why a pipeline cannot be, and why a run failed.

use sluice_catalog::CatalogError;
use sluice_domain::{
    CompiledStatement, ErrorKind, Failure, PipelineName, PipelineSettingsError, RunId, RunQuality, RunStatus,
    StoredFailure, TableRef, ViewError,
};
use sluice_query::{Position, QueryError};
use sluice_table::TableError;

/// The code of what a gate has against the rows of a run.
pub(crate) const GATE_CODE: &str = "quality-gate";

/// A failure of a pipeline or of a run.
#[derive(Debug, thiserror::Error)]
pub enum CurateError {
    /// There is no such pipeline.
    #[error("there is no pipeline {name}")]
    NotFound {
        /// The name.
        name: PipelineName,
    },
    /// There is no such view.
    #[error("there is no view {name}")]
    ViewNotFound {
        /// The name.
        name: TableRef,
    },
    /// There is no such run of a pipeline.
    #[error("there is no run {run} of a pipeline")]
    RunNotFound {
        /// The id.
        run: RunId,
    },
    /// No backfill of the pipeline was ever asked for.
    #[error("there is no backfill of the pipeline {name}")]
    NoBackfill {
        /// The pipeline's name.
        name: PipelineName,
    },
    /// The definition makes no sense.
    #[error(transparent)]
    Settings(#[from] PipelineSettingsError),
    /// The view makes no sense.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The statement cannot be planned: correct it.
    #[error("{place}: {reason}")]
    Statement {
        /// The field, with line and column where known.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// It does not go with the pipelines that there are.
    #[error("{reason}")]
    Graph {
        /// The stable name of the reason.
        code: &'static str,
        /// Why.
        reason: String,
    },
    /// The result of the statement does not fit the target.
    #[error("{place}: column {column}: {reason}")]
    Misfit {
        /// The field of the pipeline.
        place: &'static str,
        /// The column.
        column: String,
        /// What does not fit.
        reason: String,
    },
    /// The rows of a run are not to be published.
    #[error("{}", quality.complaints.join("; "))]
    Gate {
        /// What the gate found out.
        quality: Box<RunQuality>,
    },
    /// A run of the pipeline is under way.
    #[error("the run {run} of the pipeline is under way; wait for its end, or cancel it")]
    Busy {
        /// Its id.
        run: RunId,
    },
    /// The run or the pipeline is not in a state for it.
    #[error("{reason}")]
    State {
        /// The stable name of the reason.
        code: &'static str,
        /// Why not.
        reason: String,
    },
    /// The run was ended.
    #[error("the run was cancelled")]
    Cancelled,
    /// The run took too long.
    #[error("the run did not end within the {seconds} s of its pipeline")]
    TimedOut {
        /// The limit.
        seconds: u32,
    },
    /// The statement could not be run.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The target could not be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The catalog's.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// What others found out about a table, or a fault.
    #[error("{0}")]
    Other(StoredFailure),
}

impl Failure for CurateError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::ViewNotFound { .. } | Self::RunNotFound { .. } | Self::NoBackfill { .. } => {
                ErrorKind::NotFound
            }
            Self::Settings(error) => error.kind(),
            Self::View(error) => error.kind(),
            Self::Statement { .. } | Self::Misfit { .. } | Self::Gate { .. } => ErrorKind::Invalid,
            Self::Graph { code: "pipeline-cycle", .. } => ErrorKind::Invalid,
            Self::Graph { code: "too-many-pipelines" | "too-many-views", .. } => ErrorKind::TooMany,
            Self::Graph { .. } | Self::Busy { .. } | Self::State { .. } | Self::Cancelled => ErrorKind::Conflict,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Query(error) => error.kind(),
            Self::Table(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Other(failure) => failure.kind,
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::NotFound { .. } | Self::ViewNotFound { .. } | Self::RunNotFound { .. } | Self::NoBackfill { .. } => {
                "not-found"
            }
            Self::Settings(error) => error.code(),
            Self::View(error) => error.code(),
            Self::Statement { .. } => "bad-statement",
            Self::Graph { code, .. } | Self::State { code, .. } => code,
            Self::Misfit { .. } => "target-misfit",
            Self::Gate { .. } => GATE_CODE,
            Self::Busy { .. } => "run-in-progress",
            Self::Cancelled => "run-cancelled",
            Self::TimedOut { .. } => "run-timeout",
            Self::Query(error) => error.code(),
            Self::Table(error) => error.code(),
            Self::Catalog(error) => error.code(),
            Self::Other(failure) => &failure.code,
        }
    }
}

impl CurateError {
    /// A fault of the server.
    pub(crate) fn fault(detail: impl ToString) -> Self {
        let code = "run-failed".to_owned();
        Self::Other(StoredFailure { kind: ErrorKind::Internal, code, detail: detail.to_string() })
    }

    /// What is wrong with a statement, at its place in the steps; faults that pass stay what they are.
    pub(crate) fn of_statement(statement: &CompiledStatement, error: QueryError) -> Self {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::TooMany | ErrorKind::Internal | ErrorKind::TimedOut => error.into(),
            _ if matches!(error, QueryError::MemoryExceeded) => error.into(),
            // What is new in a table cannot be told any more.
            ErrorKind::Conflict => error.into(),
            _ => Self::at(statement, error.position(&statement.sql), error.reason()),
        }
    }

    /// Something wrong at a place of a statement.
    pub(crate) fn at(statement: &CompiledStatement, position: Option<Position>, reason: String) -> Self {
        let place = position.and_then(|position| statement.place(position.line, position.column));
        let place = place.map_or_else(
            || statement.field().to_owned(),
            |place| format!("{}, line {}, column {}", place.field, place.line, place.column),
        );
        Self::Statement { place, reason }
    }

    /// Whether the statement was too large for the memory that it may have.
    pub(crate) fn needs_memory(&self) -> bool {
        matches!(self, Self::Query(QueryError::MemoryExceeded))
    }

    /// Whether another try may go better.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Table(error) if error.starts_over() => true,
            _ => matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::TooMany | ErrorKind::InProgress),
        }
    }

    pub(crate) fn cycle(names: &[PipelineName]) -> Self {
        let way: Vec<&str> = names.iter().map(PipelineName::as_str).collect();
        let reason = format!("inputs: data would come back to where it came from: {}", way.join(" -> "));
        Self::Graph { code: "pipeline-cycle", reason }
    }

    pub(crate) fn target_taken(target: &TableRef, owner: &PipelineName) -> Self {
        Self::Graph { code: "target-taken", reason: format!("target: the pipeline {owner} fills {target}") }
    }

    pub(crate) fn too_many(limit: u32) -> Self {
        let reason = format!("there are {limit} pipelines already; delete one first");
        Self::Graph { code: "too-many-pipelines", reason }
    }

    pub(crate) fn disabled(name: &PipelineName) -> Self {
        Self::State { code: "pipeline-disabled", reason: format!("the pipeline {name} is not enabled") }
    }

    pub(crate) fn ended(status: RunStatus) -> Self {
        let reason = format!("the run has ended as {}, and does not change any more", status.as_str());
        Self::State { code: "run-ended", reason }
    }
}
