//! Compaction of small files.

use sluice_domain::{Compaction, LifecycleAction, PlanAction, StoredLifecycleRule};

use super::{Proposal, Target, hold::respect_hold, order::first};

/// Which small files of a table the rules put together, and from how many on.
pub fn decide_compaction(rules: &[StoredLifecycleRule], target: &Target<'_>) -> Option<(Proposal, u32)> {
    let compaction = first(rules, target, |action| match action {
        // The one that leaves more files alone goes first.
        LifecycleAction::Compact(compaction) => Some((compaction, u64::MAX - compaction.below_bytes)),
        _ => None,
    })?;
    let Compaction { below_bytes, target_bytes, min_files } = *compaction.says;
    let proposal = Proposal {
        action: PlanAction::Compact { below_bytes, target_bytes },
        rule: compaction.rule.name.to_string(),
        overridden: compaction.overridden,
        why: format!("{min_files} files or more of {} are below {below_bytes} bytes", compaction.rule.rule.scope),
        refusal: None,
    };
    Some((respect_hold(rules, target, proposal), min_files))
}
