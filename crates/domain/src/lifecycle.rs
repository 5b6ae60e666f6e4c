//! Lifecycle rules, plans made from them, and what came of a plan.
//!
//! Invariant: a rule that is checked names ages of at least one unit and classes that only get colder.
//! Invariant: what an older version stored can be read, and means what it meant then.

mod age;
mod plan;
mod price;
mod rule;
mod scope;
mod storage_class;

pub use age::{Age, AgeError};
pub use plan::{
    ItemResult, ItemState, PlanAction, PlanCause, PlanCounts, PlanEntry, PlanId, PlanItem, PlanState, PlanSubject,
    PlanSummary, PlannedItem,
};
pub use price::StoragePrices;
pub use rule::{
    Compaction, ExpiryAge, HeldData, LifecycleAction, LifecycleName, LifecycleNameError, LifecycleRule,
    LifecycleRuleError, RetainedData, RowExpiry, RunBy, StoredLifecycleRule, Transition, TransitionStep,
    VersionRetention,
};
pub use scope::{LakeZone, LifecycleScope};
pub use storage_class::StorageClass;
