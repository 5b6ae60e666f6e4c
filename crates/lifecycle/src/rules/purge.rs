//! The window in which a deleted table can be restored.

use chrono::{DateTime, Utc};
use sluice_domain::{LifecycleAction, PlanAction, StoredLifecycleRule};

use super::{Proposal, Target, hold::respect_hold, object::is_older, order::first, retention::demanded};

/// Whether the rules let the files of a deleted table go at an instant.
pub fn decide_purge(
    rules: &[StoredLifecycleRule],
    target: &Target<'_>,
    deleted_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<Proposal> {
    let purge = first(rules, target, |action| match action {
        LifecycleAction::PurgeDeleted(purge) => Some((purge.after, purge.after.seconds())),
        _ => None,
    })?;
    if !is_older(deleted_at, purge.says, now) {
        return None;
    }
    let mut proposal = Proposal {
        action: PlanAction::PurgeTable,
        rule: purge.rule.name.to_string(),
        overridden: purge.overridden,
        why: format!("a deleted table of {} can be restored for {}", purge.rule.rule.scope, purge.says),
        refusal: None,
    };
    if let Some((name, period)) = demanded(rules, target).filter(|(_, period)| !is_older(deleted_at, *period, now)) {
        proposal.refusal = Some(format!("{name} demands to keep it for {period}"));
        let decided = std::mem::replace(&mut proposal.rule, name.to_owned());
        proposal.overridden.insert(0, decided);
    }
    Some(respect_hold(rules, target, proposal))
}
