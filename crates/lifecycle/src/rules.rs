//! Which rule decides over what: pure functions of rules and facts.
//!
//! Invariant: conflicts are resolved in this order. (1) A legal hold: nothing is done. (2) The longest retention that a
//! `retain` rule demands: nothing younger is removed. (3) Of rules of one kind the narrower scope: table, prefix (the
//! longer first), tag, classification, namespace, zone, lake; what the settings say of zones last. (4) The one that keeps longer. (5) The name.
//! Invariant: the outcome does not depend on the order in which rules are given.

mod compaction;
mod expiry;
mod hold;
mod object;
mod order;
mod purge;
mod retention;
mod target;
mod transition;
mod versions;

pub use object::{ObjectFacts, decide_object};
pub use order::Ranked;
pub use target::Target;

pub use compaction::decide_compaction;
pub use expiry::decide_rows;
pub use purge::decide_purge;
pub use versions::decide_versions;

pub(crate) use hold::any_hold;
pub(crate) use order::OF_SETTINGS;
pub(crate) use retention::longest_retention;

use sluice_domain::PlanAction;

/// What rules say of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What would be done.
    pub action: PlanAction,
    /// The rule that decides.
    pub rule: String,
    /// The rules that it goes before.
    pub overridden: Vec<String>,
    /// Why, in words.
    pub why: String,
    /// Why it is not done; none where it is.
    pub refusal: Option<String>,
}

#[cfg(test)]
mod tests;
