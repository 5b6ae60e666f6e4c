//! Legal holds: what they cover stays as it is.

use sluice_domain::{LifecycleAction, StoredLifecycleRule};

use super::{Proposal, Target, order::first};

/// Refuse a proposal where a legal hold covers the target.
pub(super) fn respect_hold(rules: &[StoredLifecycleRule], target: &Target<'_>, mut proposal: Proposal) -> Proposal {
    let held = first(rules, target, |action| match action {
        LifecycleAction::LegalHold(hold) => Some((hold, u64::MAX)),
        _ => None,
    });
    let Some(held) = held else { return proposal };
    proposal.refusal = Some(format!("legal hold {}: {}", held.rule.name, held.says.reason));
    let decided = std::mem::replace(&mut proposal.rule, held.rule.name.to_string());
    proposal.overridden.insert(0, decided);
    proposal
}

/// The name of a legal hold, wherever it is: S3 cannot tell what is covered.
pub(crate) fn any_hold(rules: &[StoredLifecycleRule]) -> Option<&str> {
    let mut holds: Vec<&str> = rules
        .iter()
        .filter(|stored| stored.rule.enabled && matches!(stored.rule.action, LifecycleAction::LegalHold(_)))
        .map(|stored| stored.name.as_str())
        .collect();
    holds.sort_unstable();
    holds.first().copied()
}
