//! What can go wrong with rules and plans.

use sluice_catalog::CatalogError;
use sluice_domain::{ErrorKind, Failure, LifecycleName, LifecycleRuleError, PlanId};
use sluice_storage::StorageError;
use sluice_table::{MaintenanceError, TableError};

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A field of a rule is not acceptable.
    #[error(transparent)]
    Rule(#[from] LifecycleRuleError),
    /// There are as many rules as there can be.
    #[error("there are {limit} rules already, which is as many as there can be")]
    TooManyRules {
        /// The limit.
        limit: u32,
    },
    /// There is no such rule.
    #[error("there is no lifecycle rule {name}")]
    RuleNotFound {
        /// The name.
        name: LifecycleName,
    },
    /// There is no such plan, or it is forgotten.
    #[error("there is no lifecycle plan {plan}")]
    PlanNotFound {
        /// The plan.
        plan: PlanId,
    },
    /// The plan is too old to be applied.
    #[error("the lifecycle plan {plan} has expired: make another one")]
    PlanExpired {
        /// The plan.
        plan: PlanId,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table could not be read or changed.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A table could not be maintained.
    #[error(transparent)]
    Maintenance(#[from] MaintenanceError),
    /// The object store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What is known of a table elsewhere could not be found out.
    #[error("{0}")]
    Facts(Box<dyn Failure>),
}

impl Failure for LifecycleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Rule(source) => source.kind(),
            Self::TooManyRules { .. } => ErrorKind::Invalid,
            Self::RuleNotFound { .. } | Self::PlanNotFound { .. } => ErrorKind::NotFound,
            Self::PlanExpired { .. } => ErrorKind::Conflict,
            Self::Catalog(source) => source.kind(),
            Self::Table(source) => source.kind(),
            Self::Maintenance(source) => source.kind(),
            Self::Storage(source) => source.kind(),
            Self::Facts(source) => source.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Rule(source) => source.code(),
            Self::TooManyRules { .. } => "too-many-rules",
            Self::RuleNotFound { .. } | Self::PlanNotFound { .. } => "not-found",
            Self::PlanExpired { .. } => "plan-expired",
            Self::Catalog(source) => source.code(),
            Self::Table(source) => source.code(),
            Self::Maintenance(source) => source.code(),
            Self::Storage(source) => source.code(),
            Self::Facts(source) => source.code(),
        }
    }
}
