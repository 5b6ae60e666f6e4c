//! What becomes of the bytes of an upload.

use chrono::{DateTime, Utc};
use sluice_domain::{Age, LifecycleAction, PlanAction, StorageClass, StoredLifecycleRule, UploadState};

use super::{
    Proposal, Target,
    hold::respect_hold,
    order::{Ranked, first},
    retention::demanded,
    transition::class_at,
};

/// What is known of the bytes of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectFacts {
    /// When they were durable.
    pub landed_at: DateTime<Utc>,
    /// The class that they have.
    pub class: StorageClass,
    /// How far the upload has come.
    pub state: UploadState,
}

/// What the rules say of an object at an instant; none where they leave it as it is.
pub fn decide_object(
    rules: &[StoredLifecycleRule],
    target: &Target<'_>,
    object: ObjectFacts,
    now: DateTime<Utc>,
) -> Option<Proposal> {
    let age_seconds = u64::try_from((now - object.landed_at).num_seconds()).unwrap_or_default();
    let expiry = first(rules, target, |action| match action {
        LifecycleAction::ExpireObjects(expiry) => Some((expiry.after, expiry.after.seconds())),
        _ => None,
    });
    let expiry = expiry.filter(|expiry| is_older(object.landed_at, expiry.says, now));
    let retained = demanded(rules, target).filter(|(_, period)| !is_older(object.landed_at, *period, now));
    let colder = class_at(rules, target, age_seconds).filter(|(_, class)| *class > object.class);
    let mut proposal = match (expiry, retained, colder) {
        (Some(expiry), None, colder) => expired(&expiry, colder.map(|(rule, _)| rule.rule.name.to_string())),
        (expiry, _, Some((transition, to))) => {
            moved(&transition, (object.class, to), expiry.map(|expiry| expiry.rule.name.to_string()))
        }
        (Some(expiry), Some((name, period)), None) => kept(&expiry, name, period),
        (None, _, None) => return None,
    };
    if !matches!(object.state, UploadState::Committed | UploadState::Failed) {
        proposal.refusal.get_or_insert_with(|| "the upload has not come to its outcome".to_owned());
    }
    Some(respect_hold(rules, target, proposal))
}

pub(super) fn is_older(made_at: DateTime<Utc>, age: Age, now: DateTime<Utc>) -> bool {
    age.before(now).is_some_and(|before| made_at <= before)
}

fn expired(expiry: &Ranked<'_, Age>, transition: Option<String>) -> Proposal {
    Proposal {
        action: PlanAction::ExpireObject,
        rule: expiry.rule.name.to_string(),
        overridden: expiry.overridden.iter().cloned().chain(transition).collect(),
        why: format!("{} lets it go after {}", expiry.rule.rule.scope, expiry.says),
        refusal: None,
    }
}

fn moved<T>(transition: &Ranked<'_, T>, (from, to): (StorageClass, StorageClass), expiry: Option<String>) -> Proposal {
    Proposal {
        action: PlanAction::Transition { from, to },
        rule: transition.rule.name.to_string(),
        overridden: transition.overridden.iter().cloned().chain(expiry).collect(),
        why: format!("{} is to be {to} at its age", transition.rule.rule.scope),
        refusal: None,
    }
}

/// An expiry that a retention goes before.
fn kept(expiry: &Ranked<'_, Age>, retention: &str, period: Age) -> Proposal {
    let decided = expiry.rule.name.to_string();
    Proposal {
        rule: retention.to_owned(),
        overridden: std::iter::once(decided).chain(expiry.overridden.iter().cloned()).collect(),
        refusal: Some(format!("{retention} demands to keep it for {period}")),
        ..expired(expiry, None)
    }
}
