//! Rules that S3 runs by itself, as the lifecycle configuration of the bucket of the raw zone.
//!
//! Invariant: what S3 would archive or remove is never where a table of the lake lies or may come to lie.
//! Invariant: S3 knows nothing of holds and retentions, so it gets no rule that could break one.

use sluice_domain::{
    LakeZone, LifecycleAction, LifecycleScope, PageRequest, PlanAction, PlanItem, PlanSubject, RunBy, StorageClass,
    StoredLifecycleRule, ZoneName,
};
use sluice_storage::{BucketRule, BucketRules};

use super::{Draft, PAGE, Planner};
use crate::{
    LifecycleError,
    rules::{Proposal, any_hold, longest_retention},
};

/// What the ids of this program's rules begin with; those of others are left alone.
const OURS: &str = "sluice-";
/// How many tables a refusal names.
const MAX_NAMED: usize = 5;

/// A rule of the bucket, and why it is not written, where it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BucketChange {
    /// The rule here; its name alone where the rule is gone.
    pub(crate) rule: String,
    /// What the bucket is to have; none where its rule goes.
    pub(crate) wanted: Option<BucketRule>,
    /// The rule's id in the bucket.
    pub(crate) id: String,
    /// Why it is not written.
    pub(crate) refusal: Option<String>,
}

/// The folders of the lake in the keys of the bucket.
pub(crate) struct Keys {
    /// Where the raw zone lies: a rule elsewhere may be another lake's.
    pub(crate) zone: String,
    /// Where the uploads lie.
    pub(crate) uploads: String,
    /// Where tables lie, or may come to lie.
    pub(crate) tables: Vec<String>,
}

/// The rules of the bucket that stand for these, for a raw zone whose uploads lie below this prefix.
pub fn bucket_rules(rules: &[StoredLifecycleRule], uploads: &str) -> Vec<(String, BucketRule)> {
    let of_bucket = rules.iter().filter(|stored| stored.rule.run_by == RunBy::Bucket);
    of_bucket.filter_map(|stored| Some((stored.name.to_string(), wanted(stored, uploads)?))).collect()
}

fn wanted(stored: &StoredLifecycleRule, uploads: &str) -> Option<BucketRule> {
    let prefix = match &stored.rule.scope {
        LifecycleScope::Prefix(prefix) => prefix.clone(),
        LifecycleScope::Zone(LakeZone::Raw) => uploads.to_owned(),
        _ => return None,
    };
    let (mut transitions, mut expiration_days) = (Vec::new(), None);
    match &stored.rule.action {
        LifecycleAction::Transition(transition) => {
            let steps = transition.steps.iter();
            transitions = steps.filter_map(|step| Some((step.after.days()?, step.storage_class))).collect();
        }
        LifecycleAction::ExpireObjects(expiry) => expiration_days = Some(expiry.after.days()?),
        _ => return None,
    }
    let id = format!("{OURS}{}", stored.name);
    Some(BucketRule { id, prefix, enabled: stored.rule.enabled, transitions, expiration_days })
}

/// Why S3 may not run a rule, given every rule and where tables lie; none where it may.
fn refusal(wanted: &BucketRule, rules: &[StoredLifecycleRule], keys: &Keys) -> Option<String> {
    let archives = wanted.transitions.iter().any(|(_, class)| !class.is_readable());
    if !wanted.enabled || (!archives && wanted.expiration_days.is_none()) {
        return None;
    }
    let overlaps = |folder: &&String| folder.starts_with(&wanted.prefix) || wanted.prefix.starts_with(folder.as_str());
    let tables: Vec<&str> = keys.tables.iter().filter(overlaps).map(String::as_str).take(MAX_NAMED).collect();
    if !tables.is_empty() {
        let reason = "tables of the lake lie or may come to lie there, whose files have to be read";
        return Some(format!("{reason}: {}; take {}", tables.join(", "), keys.uploads));
    }
    if let Some(hold) = any_hold(rules) {
        return Some(format!("legal hold {hold}: S3 cannot tell what it covers, so let the server run this rule"));
    }
    let expires_after = wanted.expiration_days?.saturating_mul(24 * 3600);
    let (name, period) = longest_retention(rules).filter(|(_, period)| period.seconds() > expires_after)?;
    Some(format!("{name} demands to keep some of it for {period}, and S3 cannot tell what"))
}

/// What would change in the bucket, which has these rules.
pub(crate) fn bucket_changes(rules: &[StoredLifecycleRule], present: &BucketRules, keys: &Keys) -> Vec<BucketChange> {
    let wanted = bucket_rules(rules, &keys.uploads);
    let mut changes = Vec::new();
    for id in present.ids().filter(|id| id.starts_with(OURS)) {
        let is_wanted = wanted.iter().any(|(_, rule)| rule.id == id);
        let is_of_zone = present.find(id).is_some_and(|rule| rule.prefix.starts_with(&keys.zone));
        if is_wanted || !is_of_zone {
            continue;
        }
        let rule = id.strip_prefix(OURS).unwrap_or(id).to_owned();
        changes.push(BucketChange { rule, wanted: None, id: id.to_owned(), refusal: None });
    }
    for (rule, wanted) in wanted.into_iter().filter(|(_, rule)| present.find(&rule.id).as_ref() != Some(rule)) {
        let refusal = refusal(&wanted, rules, keys);
        changes.push(BucketChange { rule, id: wanted.id.clone(), wanted: Some(wanted), refusal });
    }
    changes
}

impl Planner<'_> {
    pub(super) async fn add_bucket_changes(&mut self, draft: &mut Draft) -> Result<(), LifecycleError> {
        for change in self.bucket_changes().await? {
            draft.add(self.bucket_item(change));
        }
        Ok(())
    }

    /// What would change in the bucket; all of it is refused where the raw zone is in none.
    pub(crate) async fn bucket_changes(&self) -> Result<Vec<BucketChange>, LifecycleError> {
        let Some(bucket) = self.lake.zones.bucket() else {
            let mut changes = bucket_changes(&self.rules, &BucketRules::default(), &self.keys(Vec::new()));
            for change in &mut changes {
                change.refusal = Some("the raw zone is not in S3, so no bucket can run this rule".to_owned());
            }
            return Ok(changes);
        };
        let present = bucket.rules().await?;
        let is_needed = self.rules.iter().any(|stored| stored.rule.run_by == RunBy::Bucket);
        let tables = if is_needed { self.table_keys().await? } else { Vec::new() };
        Ok(bucket_changes(&self.rules, &present, &self.keys(tables)))
    }

    fn keys(&self, mut tables: Vec<String>) -> Keys {
        let (raw, curated) = (self.lake.zones.get(ZoneName::Raw), self.lake.zones.get(ZoneName::Curated));
        tables.push(raw.key_of("tables/"));
        if raw.url().host_str() == curated.url().host_str() {
            tables.push(curated.key_of(""));
        }
        Keys { zone: raw.key_of(""), uploads: raw.key_of("uploads/"), tables }
    }

    /// Where the tables of the raw zone lie whose folders have names of their own.
    async fn table_keys(&self) -> Result<Vec<String>, LifecycleError> {
        let raw = self.lake.zones.get(ZoneName::Raw);
        let usual = raw.key_of("tables/");
        let (mut page, mut keys) = (PageRequest { size: PAGE, token: None }, Vec::new());
        loop {
            let tables = self.lake.catalog.tables().list(None, None, &page).await?;
            let in_raw = tables.items.iter().filter(|entry| entry.zone == ZoneName::Raw);
            let own = in_raw.map(|entry| raw.key_of(&format!("{}/", entry.path)));
            keys.extend(own.filter(|key| !key.starts_with(&usual)));
            let Some(next) = tables.next else { break };
            page.token = Some(next);
        }
        Ok(keys)
    }

    fn bucket_item(&self, change: BucketChange) -> PlanItem {
        let bucket = self.lake.zones.bucket().map_or_else(String::new, |bucket| bucket.name().to_owned());
        let (action, why) = match &change.wanted {
            Some(wanted) => (PlanAction::SetBucketRule, told(wanted)),
            None => (PlanAction::RemoveBucketRule, "there is no such rule any more".to_owned()),
        };
        let proposal = Proposal { action, rule: change.rule, overridden: Vec::new(), why, refusal: change.refusal };
        self.item(PlanSubject::BucketRule { bucket, id: change.id }, proposal, 0, 0.0)
    }
}

fn told(wanted: &BucketRule) -> String {
    let step = |(days, class): &(u64, StorageClass)| format!("{class} after {days} days");
    let mut steps: Vec<String> = wanted.transitions.iter().map(step).collect();
    steps.extend(wanted.expiration_days.map(|days| format!("gone after {days} days")));
    format!("S3 itself runs {}: {}", wanted.prefix, steps.join(", "))
}

#[cfg(test)]
mod tests;
